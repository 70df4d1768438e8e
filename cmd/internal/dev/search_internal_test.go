package dev

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"

	"golang.org/x/sync/errgroup"
)

func TestAStoppedSearchEnds(t *testing.T) {
	load := func(n string, previous *engine.Generation) *engine.Generation {
		policy := "package p\n\nallow if {\n\tsome i in numbers.range(1, 5000)\n\tsome j in numbers.range(1, 5000)\n\ti * j == input.size - " + n + "\n\ti < 0\n}\n"
		g, err := engine.Load(context.Background(), fstest.MapFS{"p.rego": {Data: []byte(policy)}}, previous)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	before := load("1", nil)
	l := &Loop{cfg: Config{ProbeTime: 24 * time.Hour}, inputs: &inputs{}, tested: load("2", before)}
	var group errgroup.Group
	s := l.searchFor(context.Background(), &Round{}, before, group.Go)
	s.stop()
	if end := <-s.result(); !errors.Is(end.err, context.Canceled) {
		t.Errorf("it went on: %+v", end)
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}
