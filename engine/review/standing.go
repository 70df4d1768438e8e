package review

import (
	"slices"
	"strings"
	"time"

	"defenseclaw/engine"
)

// Standing is what is known of the tests beside what serves. Tests run only where a change can affect them, so those that
// failed once stay until they pass or are gone. Not to be changed.
type Standing struct {
	Revision    string    // of the policy
	At          time.Time // of the newest run
	Ran, NotRun int       // by it
	Failed      []FailedTest
	Incomplete  []string // what the newest run was to do and did not
}

// Names are the tests that fail, in the form of [FailedTest].Name. s may be nil.
func (s *Standing) Names() []string {
	if s == nil {
		return nil
	}
	all := make([]string, len(s.Failed))
	for i, f := range s.Failed {
		all[i] = f.Name
	}
	return all
}

// After is what is known after e, a run of the tests beside the policy of that revision. all are those that there are. s may
// be nil, and so may the tests of e: then nothing ran.
func (s *Standing) After(e Evidence, revision string, at time.Time, all *engine.Suite) *Standing {
	now := &Standing{Revision: revision, At: at}
	for _, text := range e.Incomplete {
		if strings.HasPrefix(text, PartTests+":") {
			now.Incomplete = append(now.Incomplete, text)
		}
	}
	var passed []string
	if t := e.Tests; t != nil {
		now.Ran, now.NotRun, passed = t.Ran, t.NotRun, t.Mended
		now.Failed = slices.Clone(t.Failed)
	}
	if s == nil || len(s.Failed) == 0 {
		return now
	}
	names := testsIn(all)
	for _, m := range all.Modules {
		names = append(names, m.Package.Path.String()) // its tests did not compile
	}
	there := func(f FailedTest) bool { // what does not parse, which is called after its file, fails in every run
		return slices.ContainsFunc(names, func(n string) bool {
			return n == f.Name || strings.HasPrefix(n, f.Name+".") || strings.HasPrefix(n, f.Name+"[")
		})
	}
	for _, f := range s.Failed {
		again := slices.ContainsFunc(now.Failed, func(n FailedTest) bool { return n.Name == f.Name })
		if !again && !slices.Contains(passed, f.Name) && there(f) {
			now.Failed = append(now.Failed, f)
		}
	}
	return now
}
