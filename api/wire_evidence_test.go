package api

import (
	"slices"
	"testing"

	"defenseclaw/engine/review"
)

func TestTestsThatAreGoneAreInTheReviewWhetherAnyRan(t *testing.T) {
	for name, e := range map[string]review.Evidence{
		"none ran": {Compared: &review.Tests{Removed: []string{"data.p.test_x"}}},
		"one ran":  {Compared: &review.Tests{Removed: []string{"data.p.test_x"}}, Tests: &review.TestRun{Ran: 1}, Incomplete: []string{"tests: 2 did not run"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &Review{Incomplete: []string{"tests"}}
			w.AddEvidence(e)
			if w.Tests == nil || !slices.Equal(w.Tests.Removed, []string{"data.p.test_x"}) || w.Tests.Added == nil || w.Tests.Failed == nil {
				t.Errorf("%+v", w.Tests)
			}
			if slices.Contains(w.Incomplete, "tests") || len(w.Incomplete) != len(e.Incomplete) {
				t.Errorf("%q; the tests were compared", w.Incomplete)
			}
		})
	}
	w := &Review{Incomplete: []string{"tests"}}
	w.AddEvidence(review.Evidence{Tests: &review.TestRun{Ran: 1}})
	if !slices.Contains(w.Incomplete, "tests") {
		t.Error("the tests of one side are not known, and that is not said")
	}
}
