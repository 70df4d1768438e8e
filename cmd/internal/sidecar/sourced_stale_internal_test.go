package sidecar

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/watcher/bundle"
)

func TestNoRequestWaitsUntilTheSourceIsStale(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		0: 0, time.Second: -1, 5 * time.Second: 2500 * time.Millisecond, time.Hour: bundle.DefaultLongPoll,
	} {
		cfg := bundle.Config{}
		if askOften(&cfg, after); cfg.LongPoll != want {
			t.Errorf("%s: %s; want %s", after, cfg.LongPoll, want)
		}
	}
	cfg := bundle.Config{LongPoll: -1, Pace: map[string]bundle.Pace{
		"slow": {Min: time.Minute, Max: time.Hour, LongPoll: time.Hour}, "fast": {Min: time.Second, Max: 2 * time.Second, LongPoll: -1},
	}}
	askOften(&cfg, 20*time.Second)
	want := map[string]bundle.Pace{
		"slow": {Min: 10 * time.Second, Max: 10 * time.Second, LongPoll: 10 * time.Second}, "fast": {Min: time.Second, Max: 2 * time.Second, LongPoll: -1},
	}
	if cfg.LongPoll != -1 || !maps.Equal(cfg.Pace, want) {
		t.Errorf("%+v", cfg)
	}
}

// TestASourceIsStaleToTheMoment runs on the clock of the test: what is told is told when the bound has passed since the last
// answered request was sent, and a tenth of the bound after contact at the latest.
func TestASourceIsStaleToTheMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		contact, told := time.Time{}, []string{}
		s := &staleness{after: 10 * time.Second, contact: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return contact
		}, tell: func(stale, first bool, age time.Duration) {
			told = append(told, fmt.Sprintf("%s %v %v %s", time.Since(start), stale, first, age))
		}}
		answered := func() {
			mu.Lock()
			defer mu.Unlock()
			contact = time.Now()
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.run(ctx) }()
		synctest.Wait() // no contact since the start
		time.Sleep(3500 * time.Millisecond)
		answered()
		time.Sleep(9 * time.Second) // at 12.5 s
		answered()
		time.Sleep(9 * time.Second) // at 21.5 s
		answered()
		time.Sleep(15500 * time.Millisecond) // at 37 s
		answered()
		time.Sleep(5 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []string{"0s true true -1ns", "4s false false 500ms", "31.5s true false 10s", "37.5s false false 500ms"}
		if !slices.Equal(told, want) {
			t.Errorf("%q; want %q", told, want)
		}
	})
}
