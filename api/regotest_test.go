package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"defenseclaw/api"
)

// testOf asks for the test of the newest decision at a path.
func testOf(t *testing.T, s *sidecar, path string) (status int, answer api.RecordedTest, body string) {
	t.Helper()
	list := asRecorded(t, s, api.RecordedQuery{Path: path})
	status, body, _ = s.request("GET", "/policy/recordings/decisions/"+list.Decisions[0].DecisionID+"/test", "")
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return status, answer, body
}

func TestATestIsMadeOfARecordedDecision(t *testing.T) {
	s := recordedSidecar(t, [2]string{"app/allow", `{"user":"eve","password":"hidden-away"}`}, [2]string{"app/text", `{"text":"<script>"}`})
	status, made, body := testOf(t, s, "app/allow")
	if status != http.StatusOK || !made.Made || made.File != "recorded_test.rego" || len(made.Notes) != 1 || !strings.Contains(made.Notes[0], "masked") ||
		!strings.Contains(made.Test, "got == false") || strings.Contains(body, "hidden-away") {
		t.Errorf("%d %s", status, body)
	}
	if status, made, body := testOf(t, s, "app/text"); status != http.StatusOK || !strings.Contains(made.Test, `got == "<script>"`) {
		t.Errorf("%d %s", status, body)
	}
}

// What is not kept cannot decide again: what serves may answer alike, or not.
func TestATestSaysWhichPolicyItWasTriedWith(t *testing.T) {
	s := recordedSidecar(t, [2]string{"app/allow", `{"user":"eve"}`}, [2]string{"app/level", `{"level":3}`})
	s.files = policy(map[string]string{"app.rego": strings.Replace(recordedPolicies["app.rego"], "input.level", "4", 1)})
	if status, body, _ := s.request("POST", "/policy/reload", "", clientHeader); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if status, made, body := testOf(t, s, "app/allow"); status != http.StatusOK || made.Made || !strings.Contains(made.Notes[0], "not kept") {
		t.Errorf("%d %s", status, body)
	}
	if status, _, body := testOf(t, s, "app/level"); status != http.StatusConflict || !strings.Contains(body, "the answer is 4") || !strings.Contains(body, "not kept") {
		t.Errorf("%d %s", status, body)
	}
}

// What is masked decided: there is no test, and the answer says so.
func TestThereIsNoTestWhereWhatIsMaskedDecides(t *testing.T) {
	s := recordedSidecar(t, [2]string{"app/knows", `{"password":"open sesame"}`})
	if status, _, body := testOf(t, s, "app/knows"); status != http.StatusConflict || !strings.Contains(body, "masked") || strings.Contains(body, "sesame") {
		t.Errorf("%d %s", status, body)
	}
}
