package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine/review"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestTheSchemaOfGuardsIsThatOfAReview has a review with every part checked by the schema, and one with a member more.
func TestTheSchemaOfGuardsIsThatOfAReview(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	var document any
	text, err := json.Marshal(api.GuardSchema())
	if err == nil {
		err = json.Unmarshal(text, &document)
	}
	if err == nil {
		err = compiler.AddResource("guards.json", document)
	}
	if err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("guards.json")
	if err != nil {
		t.Fatal(err)
	}
	flip := review.Flip{Path: "app/allow", Kind: review.DenyToAllow, Input: json.RawMessage(`{"a":1}`), Before: json.RawMessage("false"), AfterError: "x", Time: time.Now()}
	j := &review.Judgment{
		Trigger: "watch", Actor: "ann", At: time.Now(),
		Review: &review.Review{
			Base: &review.Side{Revision: "sha256:1", Modules: 1}, Candidate: review.Side{Revision: "sha256:2", Modules: 2},
			Files: []review.File{{Path: "p.rego", Change: "changed", Added: 1}}, Rules: []review.Rule{{Path: "data.p.x", Change: "added", Clause: 1}},
			Defaults: []review.Default{{Path: "data.p.x", After: json.RawMessage("true")}}, Data: []review.Data{{Path: "data.x", Change: "added", After: json.RawMessage("7")}},
		},
		Evidence: review.Evidence{
			Tests:  &review.TestRun{Ran: 1, Failed: []review.FailedTest{{Name: "data.p.test_x", File: "p_test.rego", Row: 3, Why: "no"}}},
			Replay: &review.Replay{Records: 3, NotReplayable: map[string]int{"masked": 1}, Flips: map[review.FlipKind]int{review.DenyToAllow: 1}, Groups: []review.Group{{Path: "app/allow", Examples: []review.Flip{flip}, Cause: review.Cause{Rule: "data.app.allow"}}}},
			Probe:  &review.Probe{Found: []review.Flip{flip}}, Incomplete: []string{"probe: late"},
		},
	}
	var input map[string]any
	text, err = json.Marshal(api.WholeReviewOf(j))
	if err == nil {
		err = json.Unmarshal(text, &input)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(input); err != nil {
		t.Errorf("a review is refused: %v", err)
	}
	if err := schema.Validate(map[string]any{"path": "app/allow", "result": map[string]any{"status": "go"}}); err != nil {
		t.Errorf("the input of outcome is refused: %v", err)
	}
	input["more"] = true
	if err := schema.Validate(input); err == nil {
		t.Error("a member that no review has is taken")
	}
}
