package reviewer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/engine/review"
)

func TestEvidenceIsOfBothPolicies(t *testing.T) {
	t.Setenv("DEFENSECLAW_GATEWAY_TOKEN", "a-secret")
	t.Setenv("GOMAXPROCS", "2")
	r := start(t, nil)
	for range 3 { // the later ones find what they need in the process
		e := r.review(`{}`)
		if len(e.Incomplete) > 0 || e.Tests == nil || e.Replay == nil || e.Probe == nil {
			t.Fatalf("%+v; ended %+v", e, r.ends())
		}
		for _, said := range []string{e.Tests.Failed[0].Why, e.Replay.Unseen[0], e.Probe.NeverTrue[0]} {
			if said != "1<nil> 2<nil> GOMAXPROCS=2" {
				t.Errorf("a step saw %q", said)
			}
		}
		if e.Replay.Records != 1200 || e.Replay.Flips[review.DenyToAllow] != 1 {
			t.Errorf("%+v", e.Replay)
		}
		if f := e.Probe.Found[0]; string(f.Before) != "null" || f.After != nil {
			t.Errorf("null and undefined: %+v", f)
		}
	}
	if h := r.Health(); !h.Up || h.Restarts != 0 || h.Failure != "" {
		t.Errorf("%+v", h)
	}
}

func TestTheFirstPolicyHasTestsAlone(t *testing.T) {
	r := start(t, nil)
	e := r.Review(t.Context(), nil, load(t, `{}`, nil), reviewer.Ask{Steps: []string{reviewer.Tests, reviewer.Replay, reviewer.Probe}})
	if len(e.Incomplete) > 0 || e.Tests == nil || e.Replay != nil || e.Probe != nil {
		t.Errorf("%+v", e)
	}
}

// TestWhatEndsTheProcessIsIncomplete ends the process in each step in each way: the other steps are complete.
func TestWhatEndsTheProcessIsIncomplete(t *testing.T) {
	for how, want := range map[string]string{
		"exit":  "the reviewer ended: exit status 3",
		"kill":  "the reviewer was killed (out of memory?): signal: killed",
		"panic": "it panicked: as it was told",
		"fail":  "as it was told",
	} {
		for _, step := range []string{reviewer.Tests, reviewer.Replay, reviewer.Probe} {
			t.Run(how+" in "+step, func(t *testing.T) {
				r := start(t, nil)
				e := r.review(`{"` + step + `":"` + how + `"}`)
				if len(e.Incomplete) != 1 || e.Incomplete[0] != step+": "+want {
					t.Errorf("incomplete: %q", e.Incomplete)
				}
				if (e.Tests == nil) != (step == reviewer.Tests) || (e.Replay == nil) != (step == reviewer.Replay) || (e.Probe == nil) != (step == reviewer.Probe) {
					t.Errorf("%+v", e)
				}
			})
		}
	}
}

func TestTheThirdEndRefuses(t *testing.T) {
	r := start(t, nil)
	for n := 1; n <= 3; n++ {
		if e := r.review(`{"probe":"exit"}`); len(e.Incomplete) != 1 || !strings.Contains(e.Incomplete[0], "exit status 3") {
			t.Fatalf("time %d: %+v", n, e)
		}
		if ends := r.ends(); len(ends) != n || ends[n-1].During != reviewer.Probe || ends[n-1].Ends != n {
			t.Fatalf("time %d: ended %+v", n, ends)
		}
	}
	e := r.review(`{"probe":"exit"}`)
	if len(e.Incomplete) != 1 || !strings.Contains(e.Incomplete[0], "it has ended the reviewer 3 times") || e.Replay == nil || e.Tests == nil {
		t.Errorf("the fourth time: %+v", e)
	}
	if e := r.review(`{"probe":"other"}`); len(e.Incomplete) > 0 {
		t.Errorf("another change: %+v", e)
	}
	if h := r.Health(); h.Restarts != 3 || len(r.ends()) != 3 {
		t.Errorf("%+v; ended %+v", h, r.ends())
	}
}

func TestSilenceEndsAtTheDeadline(t *testing.T) {
	for _, how := range []string{"stop", "hang"} {
		r := start(t, nil)
		r.review(`{}`) // it runs
		var e review.Evidence
		for enough := 500 * time.Millisecond; enough < patience && len(r.ends()) == 0; enough *= 2 { // on a busy machine, the step does not begin in time
			e = r.reviewIn(enough, `{"replay":"`+how+`"}`)
			if again := r.review(`{}`); len(again.Incomplete) > 0 { // by another process, after the silent one was killed
				t.Errorf("after %s: %+v", how, again)
			}
		}
		if len(e.Incomplete) != 2 || !strings.HasPrefix(e.Incomplete[0], "replay: the reviewer did not answer in time") ||
			!strings.HasPrefix(e.Incomplete[1], "probe: the time was over before it began") || e.Tests == nil || e.Replay != nil {
			t.Errorf("%s: %+v", how, e)
		}
		if ends := r.ends(); len(ends) != 1 || ends[0].During != reviewer.Replay || !strings.Contains(ends[0].Reason, "hung") {
			t.Errorf("%s: ended %+v", how, ends)
		}
	}
}

func TestAStepAnswersWhatItHasBeforeTheDeadline(t *testing.T) {
	r := start(t, nil)
	r.review(`{}`)
	if e := r.reviewIn(2*time.Second, `{"replay":"wait"}`, reviewer.Replay); len(e.Incomplete) > 0 || e.Replay == nil {
		t.Errorf("%+v", e)
	}
}

// TestASupersededReviewIsDropped drops one that would wait: the process ends the work, and goes on with the next.
func TestASupersededReviewIsDropped(t *testing.T) {
	r := start(t, nil)
	r.review(`{}`)
	pid := r.Health().PID
	ctx, cancel := context.WithCancelCause(context.Background())
	begun := false // here, before the process loads; from then on the process tells
	ctx = review.WithProgress(ctx, func(now review.Progress) {
		if begun && now.Step == reviewer.Tests {
			cancel(errors.New("there is a newer one"))
		}
		begun = begun || now.Step == reviewer.Tests
	})
	base := load(t, `{}`, nil)
	e := r.Review(ctx, base, load(t, `{"tests":"wait"}`, base), reviewer.Ask{Steps: []string{reviewer.Tests, reviewer.Probe}})
	if want := "[tests: the review was dropped: there is a newer one probe: the review was dropped: there is a newer one]"; fmt.Sprint(e.Incomplete) != want {
		t.Errorf("%q", e.Incomplete)
	}
	if e := r.review(`{}`); len(e.Incomplete) > 0 || r.Health().PID != pid || len(r.ends()) > 0 {
		t.Errorf("%+v; %+v; ended %+v", e, r.Health(), r.ends())
	}
}

func TestAnIdleProcessEnds(t *testing.T) {
	r := start(t, func(cfg *reviewer.Config) { cfg.Idle = 50 * time.Millisecond })
	if h := r.Health(); h.Up {
		t.Errorf("before the first review: %+v", h)
	}
	for range 2 {
		if e := r.review(`{}`); len(e.Incomplete) > 0 {
			t.Errorf("%+v", e)
		}
		r.eventually("no process", func() bool { return !r.Health().Up })
	}
	if h := r.Health(); h.Restarts != 0 || h.Failure != "" || len(r.ends()) > 0 {
		t.Errorf("%+v; ended %+v", h, r.ends())
	}
}

func TestWithoutAProcessTheSmallStepsAreMade(t *testing.T) {
	r := start(t, func(cfg *reviewer.Config) {
		cfg.Off = true
		cfg.Steps[1].Small = func(w *reviewer.Work, alone bool) bool { return alone && len(w.Records) == 1200 }
	})
	e := r.review(`{}`, reviewer.Replay, reviewer.Probe)
	if e.Replay == nil || fmt.Sprint(e.Incomplete) != "[probe: it takes the reviewer, which is off]" || r.Health().Up {
		t.Errorf("%+v; %+v", e, r.Health())
	}
}
