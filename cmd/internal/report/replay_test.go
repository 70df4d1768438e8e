package report_test

import (
	"encoding/json"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine/review"
)

// found has texts that mean something to each format.
func found() *review.Replay {
	return &review.Replay{
		Records: 3, Reached: 2, Replayed: 2, Strata: 2, StrataReplayed: 2, NotReplayable: map[string]int{},
		Flips: map[review.FlipKind]int{review.DenyToAllow: 1, review.OtherFlip: 1}, Confidence: review.ConfidenceExact,
		Share: review.Share{Flips: 0.5, Low: 0.1, High: 0.9, Of: 3},
		Groups: []review.Group{
			{
				Path: "a|b`c", Kind: review.DenyToAllow, Count: 1, Cause: review.Cause{Rule: "data.a", File: "a b.rego", Row: 7},
				Examples: []review.Flip{{Input: json.RawMessage(`"x\n::error::y"`), Before: json.RawMessage("false"), After: json.RawMessage("true")}},
			},
			{Path: "c", Kind: review.OtherFlip, Count: 1, Cause: review.Cause{Data: "data.c"}, Examples: []review.Flip{{AfterError: "first\nsecond"}}},
		},
		Unseen: []string{"a.rego:9"}, Slower: []review.Slower{{Path: "c", Factor: 2.04}},
	}
}

func TestAReplayIsPrintedInEveryFormat(t *testing.T) {
	for format, want := range map[string][]string{
		"pretty": {
			"replayed 2 of 3 records; the change can reach 2\n2 decisions flip: 1 deny to allow, 1 another answer; about 50 % of 3 (10 % to 90 %)\n",
			"deny to allow: 1 of a|b`c by data.a (a b.rego:7)\n    \"x\\n::error::y\": false → true\n",
			"another answer: 1 of c because of data.c\n    no input: undefined → error: first\n",
			"held in no record: a.rego:9\nslower: c takes 2.0 times as long\n",
		},
		"github": {
			"::error file=pol/a b.rego,line=7,title=deny to allow::1 recorded decision of a|b`c is answered otherwise",
			"::warning title=another answer::1 recorded decision of c is answered otherwise (another answer) because of data.c%0Ano input: undefined",
		},
		"markdown": {"| 1 | deny to allow | `a\\|b'c` | `by data.a (a b.rego:7)` | `\"x\\n::error::y\": false → true` |\n"},
		"sarif":    {`"ruleId": "deny_to_allow"`, `"uri": "pol/a%20b.rego"`, `"startLine": 7`, `"level": "warning"`},
	} {
		var out strings.Builder
		if err := (report.Replay{Dir: "pol", Version: "v1", Replay: found()}).Write(&out, format); err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s lacks %q:\n%s", format, text, out.String())
			}
		}
		if format == "sarif" {
			validSARIF(t, out.String())
		}
	}
	if err := (report.Replay{Replay: found()}).Write(&strings.Builder{}, "xml"); err == nil {
		t.Error("a format that there is not is no error")
	}
}
