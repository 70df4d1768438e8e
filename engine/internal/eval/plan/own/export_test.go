package own

import "regexp/syntax"

// MatchByAutomaton returns false for made where no automaton of the pattern is made, and for ok where it does not take
// the text.
func MatchByAutomaton(pattern string) (match func(text string) (matches, ok bool), made bool) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, false
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, false
	}
	a := newAutomaton(program)
	if a == nil {
		return nil, false
	}
	return a.match, true
}
