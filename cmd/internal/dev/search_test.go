package dev_test

import (
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/dev"
)

func TestInputsThatAnEditAnswersOtherwiseAreFoundAndReportedAfterItsRound(t *testing.T) {
	d := atDeskFor(t, time.Second, start)
	if first := d.until("the first round", func(r dev.Round) bool { return r.All }); first.Searching {
		t.Error("the first policy is no change, and is searched")
	}
	d.save("p.rego", strings.Replace(start["p.rego"], "10", "20", 1))
	if edit := d.until("the edit", func(r dev.Round) bool { return len(r.Changed) > 0 }); !edit.Searching || edit.Again || len(edit.Found) > 0 {
		t.Errorf("the round waits for what is found: %+v", edit)
	}
	again := d.until("the search", func(r dev.Round) bool { return r.Again })
	if again.Searching || again.SearchErr != nil || len(again.Decisions) != 2 || again.Ran != 1 {
		t.Errorf("the round is not the one that was reported: %+v", again)
	}
	if len(again.Found) == 0 || !strings.Contains(again.Searched, "difference") {
		t.Fatalf("nothing was found: %+v", again)
	}
	for _, f := range again.Found {
		if f.Path != "p/allow" || f.Kind != "deny → allow" || !strings.Contains(f.Input, `"size":1`) || strings.Join(f.Changed, " ") != "- undefined + true" {
			t.Errorf("what was found: %+v", f)
		}
	}
}

func TestOnlyPoliciesAreSearched(t *testing.T) {
	d := atDeskFor(t, time.Second, start)
	d.until("the first round", func(r dev.Round) bool { return r.All })
	d.save("q_test.rego", "package q_test\n\ntest_x if data.q.x > 0\n")
	if r := d.until("the edit of a test", func(r dev.Round) bool { return len(r.Changed) > 0 }); r.Searching {
		t.Error("an edit of tests is searched")
	}
	d.save("q.rego", "package q\n\nx := 1 # one\n")
	d.until("the edit of a comment", func(r dev.Round) bool { return r.Searching })
	if r := d.until("its search", func(r dev.Round) bool { return r.Again }); r.Searched != "" || len(r.Found) > 0 {
		t.Errorf("a comment changes nothing: %+v", r)
	}
}

func TestAPolicyThatNeedsItsTestsIsTold(t *testing.T) {
	d := atDeskFor(t, time.Second, start)
	d.until("the first round", func(r dev.Round) bool { return r.All })
	d.save("q_test.rego", "package q_test\n\nhelp(x) := x\n\ntest_x if data.q.x == 1\n")
	d.until("the test", func(r dev.Round) bool { return len(r.Changed) > 0 })
	d.save("q.rego", "package q\n\nimport data.q_test\n\nx := q_test.help(1)\n")
	r := d.until("the search", func(r dev.Round) bool { return r.Again })
	if r.SearchErr == nil || !strings.Contains(r.SearchErr.Error(), "without its tests") {
		t.Errorf("a sidecar would refuse it, and nobody is told: %+v", r)
	}
}

// slow is a policy of which no input can be evaluated in the time that a search gives it.
func slow(n string) string {
	return "package p\n\nallow if {\n\tsome i in numbers.range(1, 5000)\n\tsome j in numbers.range(1, 5000)\n\ti * j == input.size - " + n + "\n\ti < 0\n}\n"
}

func TestASearchThatTheNextChangeEndsIsNotReported(t *testing.T) {
	d := atDeskFor(t, 24*time.Hour, map[string]string{"p.rego": slow("1")})
	d.until("the first round", func(r dev.Round) bool { return r.All })
	for _, n := range []string{"2", "3"} {
		d.save("p.rego", slow(n))
		d.until("edit "+n, func(r dev.Round) bool {
			if r.Again {
				t.Errorf("it is reported: %+v", r)
			}
			return r.Searching
		})
	}
}
