package api_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
)

// fleetOf is a fleet of which everything is to be told: one agent refuses, and a rollout runs. Its agent's version says what was asked for.
func fleetOf(_ context.Context, q api.FleetQuery) (api.FleetAnswer, error) {
	now := time.Now()
	two := api.FleetNames{Agents: 2, Names: []string{"a", "b"}}
	return api.FleetAnswer{
		URL: "nats://b1,b2/prod", Channel: "prod", Domain: "hub", SeenAt: &now, Error: "no broker answers", Problem: "not trusted", Agents: 3,
		Record: &api.FleetRecord{
			Epoch: 7, State: "active", Target: "sha256:02", Base: "sha256:01", Files: 2, Cohort: "10%", Time: now, Expires: &now, By: "ann", Message: "m", Signers: []string{"team (release)"},
		},
		States: map[string]int{"serves": 2, "refused": 1}, Serve: []api.FleetCount{{Revision: "sha256:01", Agents: 3}}, MoreServe: 1,
		Refusals: []api.FleetRefusal{{Code: "policy", Error: "p.rego:3: no", FleetNames: two}}, MoreRefusals: 1,
		Silent: two, Oldest: &api.FleetContact{Agent: "a", Heard: now, SilentSeconds: 1.5}, Ahead: two, Flapping: two, Unkept: two, Invalid: 1, More: 1,
		Rollout: &api.FleetRollout{
			Running: true, Paused: true, Halted: "at 10%: no", Step: "wait", Stage: "10%", Reason: "r", Cohort: 1, Done: 1, Behind: two, Lost: two, LostBefore: two,
			Stages: []api.FleetStage{{Stage: "10%", State: "now", SoakSeconds: 120, Since: &now, Until: &now}, {Stage: "100%", State: "next"}},
			Gates:  []api.FleetGate{{Gate: "time", State: "open", Text: "t"}}, Controller: "c", ControllerSeen: &now,
		},
		Hour: api.FleetHour{Revisions: []string{"sha256:01"}, Minutes: []api.FleetMinute{{Until: now, Known: true, Agents: []int{3}}}},
		List: []api.FleetAgent{{
			Agent: "a", Labels: map[string]string{"ring": "canary"}, Standing: "refused", InCohort: true, Epoch: 7, Serves: "sha256:01", Wants: "sha256:02", State: "refused",
			Code: "policy", Error: "p.rego:3: no", Kept: true, Version: q.Values().Encode(), Since: now, Heard: now, SilentSeconds: 1, Flapping: true, Decisions: 1, P99MS: 0.5,
		}}, Matching: 1, Next: "a",
	}, nil
}

func TestWhatIsAskedOfAFleet(t *testing.T) {
	t.Parallel()
	s := full(t)
	client := &api.Client{Addr: s.addr, Token: token, AnyListener: true}
	for _, q := range []api.FleetQuery{{}, {Q: "a b&c", State: "silent", Revision: "none", After: "x", Limit: 500}} {
		answer, err := client.Fleet(t.Context(), q)
		if q.Limit == 0 {
			q.Limit = 50
		}
		if err != nil || answer.List[0].Version != q.Values().Encode() || answer.Rollout == nil || answer.Refusals[0].Agents != 2 {
			t.Errorf("%+v: %+v, %v", q, answer, err)
		}
	}
}

func TestAFleetThatIsNotObserved(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"p.rego": "package p"}, nil)
	s.expect(http.MethodGet, "/policy/fleet", "", http.StatusServiceUnavailable, "source.observe")
	s.expect(http.MethodGet, "/policy/fleet?limit=0", "", http.StatusBadRequest, "limit")
	wrong := start(t, map[string]string{"p.rego": "package p"}, func(c *api.Config, _ *engine.Config) {
		c.Fleet = func(context.Context, api.FleetQuery) (api.FleetAnswer, error) {
			return api.FleetAnswer{}, errors.New("the observer is odd")
		}
	})
	wrong.expect(http.MethodGet, "/policy/fleet", "", http.StatusInternalServerError, "odd")
}
