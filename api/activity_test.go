package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/api/metrics"
)

func TestActivityIsOfAllDecisions(t *testing.T) {
	t.Parallel()
	s := fullOf(t, openAPIPolicies())
	s.expect("POST", "/v1/data/p/x", `{"input":{"x":1}}`, http.StatusOK, "result")
	s.expect("POST", "/v1/data/p/none", `{"input":{"x":1}}`, http.StatusOK, "{")
	s.expect("POST", "/policy/evaluate/firewall", takers[1].good, http.StatusOK, "action")

	var answer api.ActivityAnswer
	status, body, _ := s.request("GET", "/policy/activity?step=600", "")
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	if answer.StepSeconds != 600 || answer.To.Sub(answer.From) != metrics.ActivityTime {
		t.Errorf("%+v", answer)
	}
	found := map[string]uint64{}
	for _, b := range answer.Buckets {
		for _, o := range b.Outcomes {
			found[o.Domain+" "+o.Verdict] += o.Decisions
		}
		if b.Decisions > 0 && (b.P50 == nil || b.P99 == nil || *b.P50 <= 0 || *b.P99 < *b.P50 || b.PerSecond <= 0) {
			t.Errorf("%+v", b)
		}
	}
	if len(found) != 3 || found["data defined"] != 1 || found["data undefined"] != 1 {
		t.Errorf("the outcomes are %v", found)
	}
	if status, body, _ := s.request("POST", "/policy/activity", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("%d %s", status, body)
	}
	if _, body, _ := s.request("GET", "/policy/activity?step=45", ""); !strings.Contains(body, "a multiple of 10") {
		t.Errorf("%s", body)
	}
}
