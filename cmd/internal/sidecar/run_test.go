package sidecar

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestAFailedPartEndsItsStageOnlyWhereItServes(t *testing.T) {
	failure := errors.New("the part ended early")
	for st := range stages {
		synctest.Test(t, func(t *testing.T) {
			wait := func(ctx context.Context) error { <-ctx.Done(); return nil }
			g := startStage(t.Context(), st, []part{
				{st, "waits", true, wait},
				{st, "fails", true, func(context.Context) error { return failure }},
				{st + 1, "of another stage", true, func(context.Context) error { t.Error("started"); return nil }},
			})
			synctest.Wait()
			ended := false
			select {
			case <-g.done:
				ended = true
			default:
			}
			if want := st == serving; ended != want {
				t.Errorf("stage %d ended: %v, want %v", st, ended, want)
			}
			g.stop()
			if err := g.parts.Wait(); !errors.Is(err, failure) {
				t.Error(err)
			}
		})
	}
}

func TestOnlyTheStageThatServesEndsWithTheContext(t *testing.T) {
	for st := range stages {
		ctx, cancel := context.WithCancel(t.Context())
		g := startStage(ctx, st, nil)
		cancel()
		ended := false
		select {
		case <-g.done:
			ended = true
		default:
		}
		if want := st == serving; ended != want {
			t.Errorf("stage %d ended: %v, want %v", st, ended, want)
		}
		g.stop()
	}
}
