package controller_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/record"
)

// The window of an emergency is shorter than the silence by which an agent is lost. It stays open until the first agents have said that they
// outlived it.
func TestAnAgentThatDiesLateInAnEmergencyIsNoticed(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 30, nil)
	f.control("one")
	f.publish(target, rollout.Emergency(), false)
	f.eventually("the first agents serve it", func() bool { return f.serving(target) > 0 })
	f.pass(20 * time.Second)
	first := f.everServed(target)
	for _, a := range f.agents {
		a.mu.Lock()
		a.dead = a.dead || a.served[target]
		a.mu.Unlock()
	}
	f.pass(15 * time.Second) // the window is over, and nobody could know yet that they are dead
	f.eventually("it is waited for them", func() bool {
		v := f.verdict("one")
		return v.Step == rollout.Wait && strings.Contains(v.Reason, "were not heard of lately")
	})
	f.pass(3 * record.WatchedBeat)
	f.eventually("it is taken back", func() bool { return f.now().Record().Plan.Halted != "" })
	if why := f.now().Record().Plan.Halted; !strings.Contains(why, "lost (agent-") {
		t.Errorf("it was halted because %q", why)
	}
	if got := f.stages(); !slices.Equal(got, []string{"1%", "1% halted"}) || f.everServed(target) != first {
		t.Errorf("the stages are %v, and %d agents served it, %d of them in the first stage", got, f.everServed(target), first)
	}
}
