package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/worker"
)

func sourceOf(files fstest.MapFS) func() (fs.FS, error) {
	return func() (fs.FS, error) { return files, nil }
}

func TestAnAnswerIsByTheGenerationThatIsNamed(t *testing.T) {
	p := start(t, nil)
	generations := []*engine.Generation{p.engine.Current()}
	for n := 2; n <= 6; n++ {
		g := p.edit(fmt.Sprint(n))
		generations = append(generations, g)
		if n%2 == 0 {
			p.Prepare(g)
		}
	}
	generations = append(generations, p.edit("1")) // the same content under another number
	for round := range 2 {
		for _, g := range generations {
			n, err := g.Evaluate(context.Background(), engine.Path{"p", "x"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprint(g.Number(), " ", g.Revision(), " ", n, " ", nil)
			if got, err := p.askBy(g, "/revision", patience); err != nil || got != want {
				t.Errorf("round %d, generation %d: %q, %v; want %q", round, g.Number(), got, err, want)
			}
		}
	}
}

func TestADeadProcessTakesOnlyWhatItEvaluated(t *testing.T) {
	p := start(t, nil)
	p.bothReady()
	var err error
	stood := p.underWay(func() { _, err = p.ask("/overflow") })
	for _, err := range []error{err, stood} {
		if unavailable := (*engine.Unavailable)(nil); !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "ended before it answered") {
			t.Errorf("what was evaluated: %v", err)
		}
	}
	if got, err := p.ask("/revision"); err != nil || got == "" {
		t.Errorf("the next: %q, %v", got, err)
	}
	p.bothReady() // the spare has taken over, and gets a spare
	ends := p.ends()
	if len(ends) != 1 || ends[0].Reason != worker.Died || len(ends[0].Inputs) != 2 || !strings.Contains(ends[0].Detail, "stack") {
		t.Errorf("ended %+v", ends)
	}
	if h := p.Health(); h.Ended["died"] != 1 {
		t.Errorf("health %+v", h)
	}
}

func TestTheThirdEndRefuses(t *testing.T) {
	p := start(t, nil)
	for n := 1; n <= 3; n++ {
		p.bothReady()
		if _, err := p.ask("/exit?q=1"); err == nil || errors.Is(err, worker.ErrRefused) {
			t.Fatalf("time %d: %v", n, err)
		}
	}
	_, err := p.ask("/exit?q=1")
	if after, ok := engine.RetryAfter(err); !errors.Is(err, worker.ErrRefused) || !ok || after < 4*time.Minute {
		t.Errorf("the fourth time: %v, ask again after %s", err, after)
	}
	if h := p.Health(); h.Ended["died"] != 3 || h.Refused != 1 {
		t.Errorf("health %+v", h)
	}
	if _, err := p.ask("/revision?q=1"); err != nil {
		t.Errorf("another path: %v", err)
	}
	p.bothReady()
	if _, err := p.ask("/exit?q=2"); errors.Is(err, worker.ErrRefused) {
		t.Errorf("another input: %v", err)
	}
}

// TestWhatOnlyStoodByIsCleared has the same innocent input under way at each of five ends.
func TestWhatOnlyStoodByIsCleared(t *testing.T) {
	p := start(t, nil)
	for n := range 5 {
		p.bothReady()
		if err := p.underWay(func() { _, _ = p.ask(fmt.Sprint("/exit?q=", n)) }); err == nil {
			t.Fatal("it was not under way")
		}
		p.bothReady()
		if _, err := p.askBy(p.engine.Current(), "/wait", 20*time.Millisecond); errors.Is(err, worker.ErrRefused) {
			t.Fatalf("after %d ends: %v", n+1, err)
		}
		p.eventually("cleared", func() bool { return p.Suspects() == n+1 }) // those that ended a process remain
	}
}

// TestASuspectIsAlone has a suspect that ends its process while others are evaluated.
func TestASuspectIsAlone(t *testing.T) {
	p := start(t, nil)
	p.bothReady()
	_, _ = p.ask("/exit")
	p.bothReady()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	others := make(chan error)
	go func() {
		for ctx.Err() == nil {
			if _, err := p.ask("/revision"); err != nil {
				others <- err
				return
			}
		}
		others <- nil
	}()
	_, _ = p.ask("/exit")
	if err := <-others; err != nil {
		t.Errorf("another question: %v", err)
	}
}

func TestHangingEvaluationsEndTheProcess(t *testing.T) {
	p := start(t, nil)
	p.bothReady()
	places := engine.Places(4)
	for n := range places {
		if _, err := p.askBy(p.engine.Current(), fmt.Sprint("/hang?q=", n), 50*time.Millisecond); !errors.Is(err, engine.ErrDecisionTimeout) {
			t.Errorf("hanging %d: %v", n, err)
		}
	}
	p.eventually("replaced", func() bool { return p.Health().Ended["hung"] == 1 })
	if got, err := p.ask("/revision"); err != nil {
		t.Errorf("the next: %q, %v", got, err)
	}
	if ends := p.ends(); len(ends) != 1 || len(ends[0].Inputs) != places {
		t.Errorf("ended %+v; want %d inputs", ends, places)
	}
}

func TestNothingOfTheEnvironmentReachesAProcess(t *testing.T) {
	t.Setenv("DEFENSECLAW_GATEWAY_TOKEN", "a-secret")
	t.Setenv("GOMAXPROCS", "2")
	p := start(t, nil)
	got, err := p.ask("/environment")
	if err != nil || strings.Contains(got, "a-secret") || strings.Contains(got, "HOME") || !strings.Contains(got, "GOMAXPROCS=2") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestIdleProcessesEnd(t *testing.T) {
	p := start(t, func(cfg *worker.Config) { cfg.Idle = 200 * time.Millisecond })
	if h := p.Health(); h.Processes != 0 {
		t.Errorf("before the first question: %+v", h)
	}
	for range 2 {
		if _, err := p.ask("/revision"); err != nil {
			t.Error(err)
		}
		p.eventually("no process", func() bool { return p.Health().Processes == 0 })
	}
	if ends := p.ends(); len(ends) > 0 {
		t.Errorf("ended %+v", ends)
	}
}
