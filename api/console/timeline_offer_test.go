package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
)

// The orders about a change that waits stand beside it alone: not beside one that waited before, also where that is the newest of
// a page of older attempts.
func TestOrdersStandBesideWhatWaits(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var waited []audit.Record
	for n, revision := range []string{"sha256:waits", "sha256:waited-before"} {
		details := json.RawMessage(fmt.Sprintf(`{"held": {"revision": %q}}`, revision))
		waited = append(waited, audit.Record{Time: at.Add(-time.Duration(n) * time.Minute), Details: details})
	}
	c := consoleOver(t, func(w http.ResponseWriter, r *http.Request) {
		var answer any = []api.HistoryEntry{}
		switch query := r.URL.Query(); {
		case r.URL.Path == "/policy/status":
			answer = api.StatusAnswer{Control: &api.Control{Mode: "held", Candidate: "sha256:waits"}}
		case query.Get("outcome") == audit.OutcomeHeld && query.Has("until"):
			answer = api.RecordsAnswer{Records: waited[1:]}
		case query.Get("outcome") == audit.OutcomeHeld:
			answer = api.RecordsAnswer{Records: waited}
		case query.Has("outcome"):
			answer = api.RecordsAnswer{}
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	for query, want := range map[string]int{"": 1, "?before=2026-01-02T03:04:00Z": 0} {
		v, leave := visitOf(t, c, newSession())
		defer leave()
		v.r = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console/timeline"+query, nil)
		w := httptest.NewRecorder()
		v.w = w
		if err := c.timeline(v); err != nil {
			t.Fatal(err)
		}
		page := w.Body.String()
		if got := strings.Count(page, ">Approve</a>"); got != want || !strings.Contains(page, "sha256:waited-before") {
			t.Errorf("timeline%s: %d times Approve in\n%s", query, got, page)
		}
		before, _, _ := strings.Cut(page, "sha256:waited-before")
		if got := strings.Count(before, ">Approve</a>"); got != want {
			t.Errorf("timeline%s: it is not beside what waits:\n%s", query, page)
		}
	}
}
