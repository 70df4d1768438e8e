package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
)

// TestExcessDecisionsAreShedAndAbandonedOnesEnd asks for more endless decisions than can run and wait: only
// their callers' leaving ends them.
func TestExcessDecisionsAreShedAndAbandonedOnesEnd(t *testing.T) {
	s := start(t, domains, func(_ *api.Config, e *engine.Config) {
		e.MaxDecisions, e.DecisionTimeout = 1, time.Hour
	})
	for _, route := range []struct{ path, body string }{
		{"/v1/data/p/slow", `{"input":{}}`},
		{"/v1/query", `{"query":"data.p.slow"}`},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		const most = 200
		statuses := make(chan int, most)
		for range most {
			go func() {
				r, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+route.path, strings.NewReader(route.body))
				r.Header.Set("Authorization", "Bearer "+token)
				answer, err := http.DefaultClient.Do(r)
				if err != nil {
					statuses <- 0
					return
				}
				defer answer.Body.Close()
				if answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
				statuses <- answer.StatusCode
			}()
		}
		if status := <-statuses; status != http.StatusServiceUnavailable {
			t.Errorf("%s: the first of %d that was answered got %d; want 503", route.path, most, status)
		}
		cancel()
		for range most - 1 {
			<-statuses
		}
		s.expect("POST", "/v1/data/p/x", `{"input":{"x":1}}`, 200, `"result":1`)
	}
}
