package review

// Coverage is what recorded decisions reach of a policy when they are made again with it.
type Coverage struct {
	Records   int // that there were
	Evaluated int
	// LeftOut counts the others by reason: masked (what was masked decided), gone (the policy has nothing at the path),
	// timeout (of one evaluation, whose lines up to then count), time (of all of it).
	LeftOut map[string]int
	Files   []FileCoverage // of all modules, by path
}

// FileCoverage is the lines of a module at which something begins that an evaluation can reach: the head of a rule, a
// condition. All are sorted.
type FileCoverage struct {
	Path    string
	Reached []int
	Missed  []int
	NoValue []int // of Reached: heads of rules that were tried and gave no value
}
