package recorder_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
)

// unmaskedAndMasked are one policy, without masks and with one.
func unmaskedAndMasked(t *testing.T) (without, with *engine.Generation) {
	t.Helper()
	without = load(t, map[string]string{"p.rego": policy})
	with = load(t, map[string]string{"p.rego": policy, "m.rego": "package system.log\n\nmask contains \"/input/mail\""})
	return without, with
}

// While what is held is cleaned by the masks of a new policy, decisions are recorded, and who counts them does not wait.
func TestNothingWaitsForTheCleaning(t *testing.T) {
	t.Parallel()
	before, after := unmaskedAndMasked(t)
	var serves atomic.Pointer[engine.Generation]
	serves.Store(before)
	cfg := config(serves.Load)
	clean := cfg.Clean
	cleaning, goOn := make(chan struct{}), make(chan struct{})
	cfg.Clean = func(ctx context.Context, g *engine.Generation, r records.Record) (records.Record, string, error) {
		if g == after && r.Revision == before.Revision() && strings.Contains(string(r.Input), "first") {
			cleaning <- struct{}{}
			<-goOn
		}
		return clean(ctx, g, r)
	}
	r := run(t, cfg)
	r.decide(before, "app/allow", `{"user":"alice","mail":"`+marked+`","first":true}`)
	r.settled()
	serves.Store(after)
	type answer struct {
		held []records.Held
		err  error
	}
	answers := make(chan answer)
	for range 2 {
		go func() {
			held, err := r.Held(context.Background())
			answers <- answer{held, err}
		}()
	}
	<-cleaning // of one of the two; the other waits for it
	r.decide(after, "app/echo", `{"n":1,"mail":"`+marked+`"}`)
	r.decide(before, "app/echo", `{"n":2,"mail":"`+marked+`"}`) // that began before
	r.settled()
	if n := len(r.Counts().Paths); n != 2 || r.Health().Records != 3 {
		t.Errorf("%d paths, %+v", n, r.Health())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Snapshot(ctx); err == nil {
		t.Error("a snapshot is not clean")
	}
	close(goOn)
	for range 2 {
		a := <-answers
		if a.err != nil || len(a.held) != 3 {
			t.Errorf("%d are held: %v", len(a.held), a.err)
		}
		for _, h := range a.held {
			if strings.Contains(string(h.Input), marked) {
				t.Errorf("not clean: %s", h.Input)
			}
		}
	}
}

// Everything that is cleared while it is cleaned stays cleared.
func TestWhatIsClearedWhileItIsCleanedStaysCleared(t *testing.T) {
	t.Parallel()
	before, after := unmaskedAndMasked(t)
	var serves atomic.Pointer[engine.Generation]
	serves.Store(before)
	cfg := config(serves.Load)
	clean := cfg.Clean
	cleaning, goOn := make(chan struct{}), make(chan struct{})
	cfg.Clean = func(ctx context.Context, g *engine.Generation, r records.Record) (records.Record, string, error) {
		if g == after {
			cleaning <- struct{}{}
			<-goOn
		}
		return clean(ctx, g, r)
	}
	r := run(t, cfg)
	r.decide(before, "app/allow", `{"user":"alice"}`)
	r.settled()
	serves.Store(after)
	done := make(chan int)
	go func() {
		held, err := r.Held(context.Background())
		if err != nil {
			t.Error(err)
		}
		done <- len(held)
	}()
	<-cleaning
	if err := r.Clear(); err != nil {
		t.Error(err)
	}
	close(goOn)
	if n := <-done; n != 0 || r.Health().Records != 0 {
		t.Errorf("%d are held, %+v", n, r.Health())
	}
}

// What a policy without masks decided is cleaned when the one with masks, by which everything was clean before, serves again.
func TestAPolicyThatComesBackCleansWhatAnotherDecided(t *testing.T) {
	t.Parallel()
	without, with := unmaskedAndMasked(t)
	var serves atomic.Pointer[engine.Generation]
	r := run(t, config(serves.Load))
	held := func() []records.Held {
		t.Helper()
		all, err := r.Held(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	serves.Store(with)
	r.decide(with, "app/allow", `{"user":"alice","mail":"`+marked+`"}`)
	r.settled()
	held()
	serves.Store(without)
	r.decide(without, "app/echo", `{"n":1,"mail":"`+marked+`"}`)
	r.settled()
	serves.Store(with)
	all := held()
	if len(all) != 2 {
		t.Errorf("%d are held", len(all))
	}
	for _, h := range all {
		if strings.Contains(string(h.Input), marked) {
			t.Errorf("not clean: %s", h.Input)
		}
	}
}

// So it is where the other policy serves and goes while what is held is being cleaned.
func TestWhatAnotherPolicyDecidesDuringTheCleaningIsCleaned(t *testing.T) {
	t.Parallel()
	without, with := unmaskedAndMasked(t)
	var serves atomic.Pointer[engine.Generation]
	serves.Store(without)
	cfg := config(serves.Load)
	clean := cfg.Clean
	cleaning, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	cfg.Clean = func(ctx context.Context, g *engine.Generation, r records.Record) (records.Record, string, error) {
		if g == with {
			once.Do(func() {
				close(cleaning)
				<-goOn
			})
		}
		return clean(ctx, g, r)
	}
	r := run(t, cfg)
	r.decide(without, "app/allow", `{"user":"alice","mail":"`+marked+`"}`)
	r.settled()
	serves.Store(with)
	done := make(chan []records.Held)
	go func() {
		held, err := r.Held(context.Background())
		if err != nil {
			t.Error(err)
		}
		done <- held
	}()
	<-cleaning
	serves.Store(without)
	r.decide(without, "app/echo", `{"n":1,"mail":"`+marked+`"}`)
	r.settled()
	serves.Store(with)
	close(goOn)
	held := <-done
	if len(held) != 2 {
		t.Errorf("%d are held", len(held))
	}
	for _, h := range held {
		if strings.Contains(string(h.Input), marked) {
			t.Errorf("not clean: %s", h.Input)
		}
	}
}
