package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/gate"
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

// TestASlowRequesterLeavesSlotsToOthers although it asks for two paths, each of which may have three quarters of the slots.
func TestASlowRequesterLeavesSlotsToOthers(t *testing.T) {
	const slow = "if { some i in numbers.range(1, 1000000); some j in numbers.range(1, 1000000); i + j < 0 }\n"
	tokens := &named{}
	tokens.set("app", gate.Token{Name: "app-1", Scopes: gate.ScopeDecide})
	s := start(t, map[string]string{"p.rego": "package p\na " + slow + "b " + slow + "x := 1\n"}, func(c *api.Config, e *engine.Config) {
		c.FindToken = tokens.find
		e.MaxDecisions, e.DecisionTimeout = 8, time.Hour
	})
	ctx, cancel := context.WithCancel(t.Context())
	const most = 20
	ended := make(chan struct{}, most)
	for i := range most {
		go func() {
			defer func() { ended <- struct{}{} }()
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/v1/data/p/"+[]string{"a", "b"}[i%2], strings.NewReader("{}"))
			r.Header.Set("Authorization", "Bearer app")
			if answer, err := http.DefaultClient.Do(r); err == nil {
				answer.Body.Close()
			}
		}()
	}
	for waits := false; !waits; { // until the requester has all that it may have
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		r, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/v1/data/p/x", strings.NewReader("{}"))
		r.Header.Set("Authorization", "Bearer app")
		answer, err := http.DefaultClient.Do(r)
		if waits = err != nil; !waits {
			answer.Body.Close()
		}
		cancel()
	}
	s.expect("POST", "/v1/data/p/x", "{}", 200, `"result":1`)
	cancel()
	for range most {
		<-ended
	}
}
