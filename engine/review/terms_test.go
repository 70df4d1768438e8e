package review_test

import (
	"strings"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// TestEachFindingHasItsVerdictInEachMode is the table of docs/how-to/hold-changes.md.
func TestEachFindingHasItsVerdictInEachMode(t *testing.T) {
	gone := review.Findings([]engine.LostDocument{{Path: "data.p", Used: true}, {Path: "data.q"}})
	failed := review.Evidence{Tests: &review.TestRun{Ran: 2, Failed: []review.FailedTest{{Name: "data.p.test_x", File: "p_test.rego", Row: 3, Why: "it is false"}}}}
	notRun := review.Evidence{Tests: &review.TestRun{Ran: 2, NotRun: 1}}
	flips := review.Evidence{Replay: &review.Replay{Strata: 2, StrataReplayed: 2, Groups: []review.Group{{Path: "p/x", Kind: review.DenyToAllow, Count: 3}}}}
	cut := review.Evidence{Replay: &review.Replay{Strata: 2, StrataReplayed: 1, Confidence: review.ConfidencePartial}}
	masked := review.Evidence{Replay: &review.Replay{Strata: 2, StrataReplayed: 1, NotReplayable: map[string]int{"masked": 3}, Confidence: review.ConfidenceSampled}}
	allStrata := review.Evidence{Replay: &review.Replay{Strata: 2, StrataReplayed: 2, Records: 9, Replayed: 3}, Incomplete: []string{"replay: the time was over"}}
	ended := review.Evidence{Incomplete: []string{"tests: the reviewer ended"}}
	probed := review.Evidence{Probe: &review.Probe{Found: []review.Flip{{Path: "p/x", Kind: review.OtherFlip}, {Path: "p/x", Kind: review.OtherFlip}}}}
	allowed := review.Evidence{Probe: &review.Probe{Found: []review.Flip{{Path: "p/x", Kind: review.DenyToAllow}}}}
	searched := review.Evidence{Probe: &review.Probe{Inputs: 3}, Incomplete: []string{"probe: the time was over after 3 inputs"}}
	notSearched := review.Evidence{Incomplete: []string{"probe: the reviewer ended"}}
	of := func(e review.Evidence) func(review.Terms) []review.Finding {
		return func(t review.Terms) []review.Finding { return t.Findings(e) }
	}
	level := func(l review.Level) func(review.Terms) []review.Finding {
		return func(review.Terms) []review.Finding { return []review.Finding{{Level: l, Code: "guard"}} }
	}
	for name, c := range map[string]struct {
		found                 func(review.Terms) []review.Finding
		report, enforce, hold review.Verdict
	}{
		"nothing":                    {of(review.Evidence{}), review.Admitted, review.Admitted, review.Admitted},
		"a document is gone":         {func(review.Terms) []review.Finding { return gone }, review.Admitted, review.Refused, review.Held},
		"a test fails":               {of(failed), review.Admitted, review.Refused, review.Refused},
		"tests were not run":         {of(notRun), review.Admitted, review.Refused, review.Held},
		"decisions flip":             {of(flips), review.Admitted, review.Admitted, review.Held},
		"inputs were found":          {of(probed), review.Admitted, review.Admitted, review.Admitted},
		"an input is allowed now":    {of(allowed), review.Admitted, review.Admitted, review.Held},
		"the search was cut":         {of(searched), review.Admitted, review.Admitted, review.Admitted},
		"the search was not made":    {of(notSearched), review.Admitted, review.Refused, review.Held},
		"a replay was cut":           {of(cut), review.Admitted, review.Refused, review.Held},
		"some can not be replayed":   {of(masked), review.Admitted, review.Admitted, review.Admitted},
		"all strata were replayed":   {of(allStrata), review.Admitted, review.Admitted, review.Admitted},
		"the reviewer ended":         {of(ended), review.Admitted, review.Refused, review.Held},
		"a guard warns":              {level(review.Warn), review.Admitted, review.Admitted, review.Admitted},
		"a guard holds, or an error": {level(review.Hold), review.Admitted, review.Refused, review.Held},
		"a guard denies":             {level(review.Deny), review.Admitted, review.Refused, review.Refused},
	} {
		for mode, want := range map[review.Mode]review.Verdict{review.ModeReport: c.report, review.ModeEnforce: c.enforce, review.ModeHold: c.hold} {
			terms, err := review.TermsOf(mode, false, "mode")
			if err != nil {
				t.Fatal(err)
			}
			if got := terms.Verdict(c.found(terms)); got != want {
				t.Errorf("%s, in %s: %s; %s was expected", name, mode, got, want)
			}
		}
	}
}

func TestTheTermsOfAProcess(t *testing.T) {
	ended := review.Evidence{Incomplete: []string{"tests: the reviewer ended"}}
	for given, want := range map[string]review.Verdict{"admit": review.Admitted, "refuse": review.Refused, "hold": review.Held} {
		terms, err := review.TermsOf(review.ModeHold, false, given)
		if err != nil {
			t.Fatal(err)
		}
		if got := terms.Verdict(terms.Findings(ended)); got != want {
			t.Errorf("with %s, an incomplete review is %s", given, got)
		}
	}
	always, _ := review.TermsOf(review.ModeHold, true, "")
	if got := always.Verdict(nil); got != review.Held {
		t.Errorf("with always, a change without findings is %s", got)
	}
	for _, wrong := range [][2]string{{"strict", ""}, {"hold", "perhaps"}} {
		if _, err := review.TermsOf(review.Mode(wrong[0]), false, wrong[1]); err == nil {
			t.Errorf("%q are terms", wrong)
		}
	}
}

// A refusal names what refuses, with its place, and nothing that is only to be read.
func TestARefusalHasItsFindingsAsDiagnostics(t *testing.T) {
	j := review.Judgment{Findings: []review.Finding{
		{Level: review.Warn, Code: review.CodeFlip, Message: "many decisions change"},
		{Level: review.Deny, Code: review.CodeTestFailed, Message: "it fails", File: "p_test.rego", Row: 3},
		{Level: review.Hold, Code: review.CodeIncomplete, Message: "tests: the reviewer ended"},
	}}
	refused := j.Refusal()
	if len(refused.Diagnostics) != 2 || refused.Diagnostics[0].File != "p_test.rego" || refused.Diagnostics[0].Line != 3 {
		t.Fatalf("the diagnostics are %+v", refused.Diagnostics)
	}
	for _, d := range refused.Diagnostics {
		if !strings.Contains(d.Hint, "--override REASON") {
			t.Errorf("%s: the hint is %q", d.Code, d.Hint)
		}
	}
	if refused.Error() == "" || refused.Stage != engine.StageReview {
		t.Errorf("it is refused as %+v", refused)
	}
}
