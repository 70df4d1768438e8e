package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/decisionlog"
	"defenseclaw/api/recorder"
	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
)

// recordingOf makes a recorder of the default settings, which keeps its records in memory.
func recordingOf(t testing.TB) *recorder.Recorder {
	t.Helper()
	clean := decisionlog.NewCleaner(decisionlog.Config{}, engine.Path{"system", "record", "drop"})
	r, err := recorder.New(recorder.Config{Clean: clean.Clean, Masks: clean.Asks, Share: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// recordingsUntil asks what is recorded until it is as expected.
func recordingsUntil(t *testing.T, s *sidecar, what string, as func(api.RecordingsAnswer) bool) (answer api.RecordingsAnswer) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		answer = api.RecordingsAnswer{}
		status, body, _ := s.request("GET", "/policy/recordings", "")
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s: %v", status, body, err)
		}
		if as(answer) {
			return answer
		}
	}
	t.Fatalf("timeout waiting until %s: %+v", what, answer)
	return answer
}

// TestDecisionsOfEveryProtocolAreRecorded asks by each, and finds the decision with its input and its answer.
func TestDecisionsOfEveryProtocolAreRecorded(t *testing.T) {
	s := fullOf(t, openAPIPolicies())
	asked := []struct{ target, body, path string }{
		{"/v1/data/p/x", `{"input":{"x":1}}`, "p/x"},
		{"/v1/data/p/x?metrics", `{"input":{"x":"measured"}}`, "p/x"},
		{"/v0/data/p/x", `{"x":2}`, "p/x"},
		{"/", `{"x":3}`, "system/main"},
		{"/v1/batch/data/p/x", `{"inputs":{"a":{"x":4},"b":{"x":5}},"common_input":{"y":6}}`, "p/x"},
		{"/access/v1/evaluation", evaluation, "authzen/allow"},
		{"/policy/evaluate/firewall", takers[1].good, "defenseclaw/firewall"},
		{"/policy/evaluate", takers[0].good, "defenseclaw/admission"},
		{"/v1/query", `{"query":"x := input.x","input":{"x":"asked"}}`, ""},
	}
	for _, q := range asked {
		if status, body, _ := s.request("POST", q.target, q.body); status != http.StatusOK {
			t.Fatalf("%s: %d %s", q.target, status, body)
		}
	}
	answer := recordingsUntil(t, s, "all are recorded", func(a api.RecordingsAnswer) bool { return a.Records == 9 })
	if answer.Seen != 9 || answer.Paths[0].Path != "p/x" || answer.Paths[0].Records != 5 {
		t.Errorf("recorded: %+v", answer)
	}
	status, events, h := s.request("GET", "/policy/recordings/events", "")
	if status != http.StatusOK || !strings.HasPrefix(h.Get("Content-Type"), "application/x-ndjson") {
		t.Fatalf("%d %v %s", status, h, events)
	}
	log, err := records.Read(strings.NewReader(events), records.Bounds{})
	if err != nil || len(log.Records) != 9 || len(log.Skipped) != 0 {
		t.Fatalf("%d records, %v skipped, %v", len(log.Records), log.Skipped, err)
	}
	found := map[string]records.Record{}
	for _, r := range log.Records {
		found[r.Path+" "+string(r.Input)] = r
		if r.Branch == "" || r.Shape == "" || r.DecisionID == "" || r.Strict != strings.HasPrefix(r.Path, "defenseclaw/") && r.Strict != (r.Path == "authzen/allow") {
			t.Errorf("recorded: %+v", r)
		}
	}
	for name, result := range map[string]string{
		`p/x {"x":1}`: "1", `p/x {"x":2}`: "2", `system/main {"x":3}`: `{"x":3}`, `p/x {"x":4,"y":6}`: "4", `p/x {"x":"measured"}`: `"measured"`,
	} {
		if r, ok := found[name]; !ok || string(r.Result) != result {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestRecordedDecisionsAreForgottenByAnOrderOnRecord(t *testing.T) {
	s := fullOf(t, openAPIPolicies())
	for n := range 3 {
		s.request("POST", "/v1/data/p/x", fmt.Sprintf(`{"input":{"x":%d}}`, n))
	}
	recordingsUntil(t, s, "they are recorded", func(a api.RecordingsAnswer) bool { return a.Records == 3 })
	if status, body, _ := s.request("DELETE", "/policy/recordings", ""); status != http.StatusForbidden {
		t.Errorf("without the client header: %d %s", status, body)
	}
	s.request("GET", "/policy/recordings/events", "")
	if status, body, _ := s.request("DELETE", "/policy/recordings", "", clientHeader); status != http.StatusOK || !strings.Contains(body, `"records":0`) {
		t.Errorf("%d %s", status, body)
	}
	if _, events, _ := s.request("GET", "/policy/recordings/events", ""); events != "" {
		t.Errorf("left: %s", events)
	}
	_, body, _ := s.request("GET", "/audit/records?action="+api.ActionRecordClear, "")
	var answer struct{ Records []audit.Record }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Records) != 1 || answer.Records[0].Actor == "" {
		t.Errorf("%s: %v", body, err)
	}
	if _, body, _ := s.request("GET", "/audit/records?action="+api.ActionRecordExport, ""); strings.Count(body, `"action":"policy-record-export"`) != 2 {
		t.Errorf("%s", body)
	}
	if _, body, _ := s.request("GET", "/policy/status", ""); !strings.Contains(body, `"recordings":{"records":0,`) {
		t.Errorf("%s", body)
	}
}

func TestWithoutARecorderItsRoutesSaySo(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, nil)
	for _, q := range [][2]string{{"GET", "/policy/recordings"}, {"DELETE", "/policy/recordings"}, {"GET", "/policy/recordings/events"}} {
		if status, body, _ := s.request(q[0], q[1], "", clientHeader); status != http.StatusServiceUnavailable || !strings.Contains(body, "record.enabled") {
			t.Errorf("%s %s: %d %s", q[0], q[1], status, body)
		}
	}
	if _, body, _ := s.request("GET", "/policy/status", ""); strings.Contains(body, "recordings") {
		t.Errorf("%s", body)
	}
}
