package controller_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet/controller"
	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/record"

	"golang.org/x/mod/sumdb/note"
)

func TestABadReleaseStopsAtTheFirstAgents(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 200, func(*agent) bool { return true })
	f.control("one")
	f.publish(target, plan(t, "1%,10%,100%", 2*time.Minute), false)
	f.eventually("the plan is halted, and all agents know", func() bool {
		return f.now().Record().Plan.Halted != "" && f.serving(base) == len(f.agents)
	})
	if got := f.stages(); !slices.Equal(got, []string{"1%", "1% halted"}) {
		t.Errorf("the stages are %v", got)
	}
	r := f.now().Record()
	if why := r.Plan.Halted; !strings.Contains(why, "refused (agent-") || !strings.Contains(why, "policy: a.rego:3: no") {
		t.Errorf("it was halted because %q", why)
	}
	if n := f.everServed(target); n != 0 {
		t.Errorf("%d agents served it", n)
	}
}

func TestErrorsTakeARolloutBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 50, nil)
	f.counted = func(a *agent) record.Counters { // a.mu is held
		c := record.Counters{Decisions: 1000, Errors: 10}
		if a.ack.Serves == target {
			c.Errors = 30
		}
		return c
	}
	f.control("one")
	f.publish(target, plan(t, "10%,100%", 2*time.Minute), false)
	f.eventually("the first agents serve it", func() bool { return f.serving(target) > 0 })
	first := f.serving(target)
	f.beat()
	f.eventually("all agents are back", func() bool { return f.now().Record().Plan.Halted != "" && f.serving(base) == len(f.agents) })
	if why := f.now().Record().Plan.Halted; !strings.Contains(why, "decisions ended in an error") {
		t.Error(why)
	}
	if n := f.everServed(target); n != first || n > len(f.agents)/4 {
		t.Errorf("%d agents served it, of %d in the first stage", n, first)
	}
}

// A controller ends in the middle of a stage, and another one goes on where it was.
func TestAControllerIsReplaced(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 40, nil)
	stop := f.control("one")
	f.publish(target, plan(t, "5%,50%,100%", time.Minute), true)
	f.eventually("the first stage is there", func() bool { return rollout.StageName(f.now().Record()) == "5%" && f.serving(target) > 0 })
	f.pass(30 * time.Second)
	stop()
	f.clock.jump(time.Hour) // nobody listens, and the agents' silence means nothing
	f.control("two")
	f.pass(20 * time.Second)
	f.eventually("the second stage is there", func() bool { return rollout.StageName(f.now().Record()) == "50%" && f.serving(target) > 10 })
	f.pass(70 * time.Second)
	f.eventually("the last stage is there", func() bool { return f.serving(target) == len(f.agents) })
	f.pass(70 * time.Second)
	f.eventually("it has ended", func() bool { return !f.now().Record().Plan.Runs() })
	if got := f.stages(); !slices.Equal(got, []string{"prepare", "5%", "50%", "100%", "100% ended"}) {
		t.Errorf("the stages are %v", got)
	}
	if by := f.now().Record().By; by != "two" {
		t.Errorf("the last record is by %s", by)
	}
}

func TestTwoControllersMoveARolloutOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 30, nil)
	f.control("one")
	f.control("two")
	f.publish(target, plan(t, "10%,40%,100%", 20*time.Second), false)
	f.eventually("the first stage is there", func() bool { return f.serving(target) > 0 })
	for range 3 {
		f.pass(30 * time.Second)
	}
	f.eventually("it has ended", func() bool { return !f.now().Record().Plan.Runs() && f.serving(target) == len(f.agents) })
	if got := f.stages(); !slices.Equal(got, []string{"10%", "40%", "100%", "100% ended"}) {
		t.Errorf("the stages are %v", got)
	}
	mark, err := controller.Last(t.Context(), f.link, channel)
	if err != nil || mark.Away() || mark.Controller != "one" && mark.Controller != "two" {
		t.Errorf("the mark is %+v, %v", mark, err)
	}
}

func TestAStageOfLabels(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 30, nil)
	f.control("one")
	f.publish(target, plan(t, "ring=canary,10%,100%", 20*time.Second), false)
	f.eventually("the canaries serve it", func() bool { return f.serving(target) == 3 })
	if n := f.serving(base); n != 27 {
		t.Errorf("%d agents serve the base", n)
	}
	f.pass(30 * time.Second)
	f.eventually("some more serve it", func() bool { return rollout.StageName(f.now().Record()) == "10%" && f.serving(target) >= 3 })
	for _, a := range f.agents[:3] {
		a.mu.Lock()
		if a.ack.Serves != target {
			t.Errorf("%s went back", a.name)
		}
		a.mu.Unlock()
	}
}

// Without traffic there is nothing to judge by: it waits for a person, however long that takes.
func TestNoTrafficIsInconclusive(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 20, nil)
	f.counted = func(*agent) record.Counters { return record.Counters{} }
	f.control("one")
	f.publish(target, plan(t, "10%,100%", 20*time.Second), false)
	f.eventually("the first agents serve it", func() bool { return f.serving(target) > 0 })
	f.pass(5 * time.Minute)
	f.eventually("it is inconclusive", func() bool { return f.verdict("one").Step == rollout.Inconclusive })
	if got := f.stages(); !slices.Equal(got, []string{"10%"}) {
		t.Fatalf("the stages are %v", got)
	}
	if why := f.verdict("one").Reason; !strings.Contains(why, "made 0 decisions, and 200 are needed") {
		t.Error(why)
	}
	was, is, err := controller.Order(t.Context(), f.link, channel, f.keys, []note.Signer{f.stage}, func(s rollout.Situation) (*record.Record, error) {
		return rollout.Promote(s, "grace")
	})
	if err != nil || was.Record().Plan.Stage != 0 || is.Record().Plan.Stage != 1 || is.Record().By != "grace" {
		t.Fatal(is.Record(), err)
	}
	f.eventually("all serve it", func() bool { return f.serving(target) == len(f.agents) })
}

func TestAPersonTakesItBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 20, nil)
	f.publish(target, plan(t, "10%,100%", 20*time.Second), false)
	f.eventually("the first agents serve it", func() bool { return f.serving(target) > 0 })
	abort := func(s rollout.Situation) (*record.Record, error) {
		return rollout.Abort(s.Record, "wrong day", "grace")
	}
	if _, _, err := controller.Order(t.Context(), f.link, channel, f.keys, []note.Signer{f.stage}, abort); err != nil {
		t.Fatal(err)
	}
	f.eventually("all are back", func() bool { return f.serving(base) == len(f.agents) })
	_, _, err := controller.Order(t.Context(), f.link, channel, f.keys, []note.Signer{f.stage}, abort)
	if !errors.Is(err, rollout.ErrNoRollout) || !strings.Contains(err.Error(), "aborted by grace: wrong day") {
		t.Error(err)
	}
	if mark, err := controller.Last(t.Context(), f.link, channel); mark != nil || err != nil || !mark.Away() {
		t.Errorf("a controller that never was left %+v, %v", mark, err)
	}
}

// Two of the cohort's agents end without a word.
func TestLostAgentsTakeARolloutBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 20, nil)
	f.control("one")
	f.publish(target, plan(t, "50%,100%", time.Hour), false)
	f.eventually("the first agents serve it", func() bool { return f.serving(target) > 5 })
	died := 0
	for _, a := range f.agents {
		a.mu.Lock()
		if a.ack.Serves == target && died < 2 {
			a.dead = true
			died++
		}
		a.mu.Unlock()
	}
	f.pass(3 * time.Minute)
	f.eventually("it is taken back", func() bool { return strings.Contains(f.now().Record().Plan.Halted, " lost (agent-") })
}

// While the broker is away nobody hears an agent, which is no reason to take anything back.
func TestABrokerThatWasAwayLosesNoAgent(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 20, nil)
	f.control("one")
	f.publish(target, plan(t, "50%,100%", time.Minute), false)
	f.eventually("the first agents serve it", func() bool { return f.serving(target) > 5 })
	f.pass(10 * time.Second)
	f.broker.Stop()
	f.clock.jump(time.Hour)
	f.broker.Start()
	f.eventually("the controller is back", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		v := f.seen["one"].Verdict
		return v.Step == rollout.TakeBack || len(v.Tally.Silent) > 0 || len(v.Tally.Behind) > 0
	})
	f.pass(30 * time.Second)
	f.eventually("the last stage is there", func() bool { return f.serving(target) == len(f.agents) })
	if got := f.stages(); !slices.Equal(got, []string{"50%", "100%"}) {
		t.Errorf("the stages are %v", got)
	}
}

// A stage key chooses between releases. What no release key signed, no agent takes.
func TestAStageKeyPublishesNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 10, nil)
	now := f.now()
	r := *now.Record()
	r.Target = record.Release{Revision: "sha256:evil", Files: 1, Chunks: 1}
	before := f.serving(base)
	if _, err := f.link.Move(t.Context(), now, &r, nil, f.stage); err != nil {
		t.Fatal(err)
	}
	f.eventually("all agents have seen it", func() bool {
		n := 0
		for _, a := range f.agents {
			a.mu.Lock()
			n += a.unsigned
			a.mu.Unlock()
		}
		return n == len(f.agents)
	})
	if before != 10 || f.everServed("sha256:evil") != 0 {
		t.Error("an agent serves what no release key signed")
	}
	forged, err := f.link.Now(t.Context(), channel, f.keys)
	if err != nil || !errors.Is(forged.Err, record.ErrUnsigned) {
		t.Error(forged.Err, err)
	}
	f.control("one")
	f.eventually("the controller says so", func() bool { return strings.Contains(f.verdict("one").Reason, "no release key signed sha256:evil") })
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 20, nil)
	m := controller.NewMetrics()
	on, err := controller.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- m.Serve(ctx, on) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	look := func() string {
		t.Helper()
		v, err := f.link.View(t.Context(), channel)
		if err != nil {
			t.Fatal(err)
		}
		m.Observe(controller.Seen{Now: f.now(), View: v})
		answer, err := client.Get("http://" + on.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := look(); !strings.Contains(got, `fleet_agents{channel="prod",state="serves"} 20`) || !strings.Contains(got, `fleet_stage{channel="prod"} -1`) {
		t.Error(got)
	}
	f.refuse = func(*agent) bool { return true }
	f.publish(target, plan(t, "ring=canary,100%", time.Minute), false)
	f.eventually("they refuse", func() bool { return f.serving(base) == 20 })
	if got := look(); !strings.Contains(got, `state="refused"} 2`) || !strings.Contains(got, `fleet_stage{channel="prod"} 1`) {
		t.Error(got)
	}
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "localhost:0"} {
		if on, err := controller.Listen(t.Context(), addr); err == nil {
			on.Close()
			t.Errorf("it listens at %s", addr)
		}
	}
}
