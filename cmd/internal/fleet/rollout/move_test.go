package rollout_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/record"
)

// write stands for the compare-and-set: it gives a record its epoch, and lets all agents follow.
func write(s rollout.Situation, next *record.Record) rollout.Situation {
	next.Epoch, next.Time = record.NextEpoch(s.Record.Epoch, s.Now), s.Now
	s.Record, s.Written = next, s.Now
	s.Agents = slices.Clone(s.Agents)
	for i := range s.Agents {
		a := &s.Agents[i]
		a.Epoch, a.Wanted, a.State, a.Heard = next.Epoch, next.Wanted(a.Agent, a.Labels).Revision, record.Applied, s.Now
		if a.Serves = a.Wanted; next.State == record.Prepare {
			a.State = record.Ready
		}
	}
	return s
}

func TestARolloutFromPreparationToItsEnd(t *testing.T) {
	t.Parallel()
	s := started(t, nil)
	r := *s.Record
	if err := rollout.Begin(&r, s.Record.Plan, true, s.Agents, s.Now); err != nil {
		t.Fatal(err)
	}
	s = write(s, &r)
	for _, a := range s.Agents {
		if a.Serves != base {
			t.Fatalf("%s serves %s while the target is prepared", a.Agent, a.Serves)
		}
	}
	first := s.Record.Epoch
	for _, want := range []struct {
		stage   string
		serving int
	}{{"ring=canary", 10}, {"100%", 20}, {"100%", 20}} {
		next, v := rollout.Next(s, "controller")
		if next == nil {
			t.Fatalf("it stays at %s: %s", rollout.StageName(s.Record), v.Reason)
		}
		s.Now = s.Now.Add(3 * rollout.DefaultSoak)
		s = write(s, next)
		serving := 0
		for _, a := range s.Agents {
			if a.Serves == target {
				serving++
			}
		}
		if rollout.StageName(s.Record) != want.stage || serving != want.serving || s.Record.Plan.First != first || len(s.Record.Releases) != 2 {
			t.Fatalf("%d agents serve it at %s, and %d at %s were expected: %+v", serving, rollout.StageName(s.Record), want.serving, want.stage, s.Record)
		}
		s.Now = s.Now.Add(3 * rollout.DefaultSoak)
		for i := range s.Agents {
			s.Agents[i].Heard = s.Now
		}
	}
	if s.Record.Plan.Runs() || s.Record.Settled().Revision != target {
		t.Errorf("it has not ended: %+v", s.Record.Plan)
	}
	if share := s.Record.Plan.Baseline; share != (record.Share{Decisions: 10_000, Errors: 100}) {
		t.Errorf("the baseline is %+v", share)
	}
	if next, v := rollout.Next(s, "controller"); next != nil || v.Step != rollout.Nothing {
		t.Errorf("after its end: %+v", v)
	}
}

func TestARefusalOfAnyAgentEndsAPreparation(t *testing.T) {
	t.Parallel()
	s := started(t, nil)
	r := *s.Record
	if err := rollout.Begin(&r, s.Record.Plan, true, s.Agents, s.Now); err != nil {
		t.Fatal(err)
	}
	s = write(s, &r)
	refuse(&s.Agents[19]) // of the last stage
	next, v := rollout.Next(s, "controller")
	if v.Step != rollout.TakeBack || v.Stage != "prepare" || !strings.Contains(v.Reason, "agent-19") {
		t.Fatalf("%+v", v)
	}
	s = write(s, next)
	if s.Record.State != record.Active || s.Record.Settled().Revision != base {
		t.Errorf("%+v", s.Record)
	}
}

func TestBeginWithoutABaseIsForEverybody(t *testing.T) {
	t.Parallel()
	r := &record.Record{Channel: "prod", Target: record.Release{Revision: target}}
	if err := rollout.Begin(r, rollout.Default(), true, nil, now); err != nil {
		t.Fatal(err)
	}
	if r.Plan != nil || r.State != record.Active || !r.Cohort.Holds("anybody", nil) {
		t.Errorf("%+v", r)
	}
	if err := rollout.Begin(r, &record.Plan{}, false, nil, now); err == nil {
		t.Error("a plan without stages began")
	}
}

func TestWhatAPersonCanDo(t *testing.T) {
	t.Parallel()
	s := started(t, nil)
	for i := range s.Agents {
		s.Agents[i].Counters = record.Counters{}
	}
	if _, v := rollout.Next(s, "controller"); v.Step != rollout.Inconclusive {
		t.Fatalf("%+v", v)
	}
	paused, err := rollout.Pause(s.Record, "ada")
	if err != nil || !paused.Plan.Paused || paused.By != "ada" || s.Record.Plan.Paused {
		t.Fatal(paused, err)
	}
	s = write(s, paused)
	if again, err := rollout.Pause(s.Record, "ada"); again != nil || err != nil {
		t.Error("paused twice:", again, err)
	}
	promoted, err := rollout.Promote(s, "ada")
	if err != nil || promoted.Plan.Stage != 1 || !promoted.Plan.Paused {
		t.Fatal(promoted, err)
	}
	resumed, err := rollout.Resume(s.Record, "ada")
	if err != nil || resumed.Plan.Paused {
		t.Fatal(resumed, err)
	}
	aborted, err := rollout.Abort(s.Record, "wrong day", "ada")
	if err != nil || aborted.Plan.Halted != "at ring=canary: aborted by ada: wrong day" {
		t.Fatal(aborted, err)
	}

	refuse(&s.Agents[0])
	if next, err := rollout.Promote(s, "ada"); next != nil || !errors.As(err, new(*rollout.FailedError)) {
		t.Error("promoted over a refusal:", next, err)
	}
	s = write(s, aborted)
	for what, err := range map[string]error{
		"promote": second(rollout.Promote(s, "ada")), "pause": second(rollout.Pause(s.Record, "ada")),
		"resume": second(rollout.Resume(s.Record, "ada")), "abort": second(rollout.Abort(s.Record, "", "ada")),
	} {
		if !errors.Is(err, rollout.ErrNoRollout) || !strings.Contains(err.Error(), "taken back at ring=canary: aborted by ada: wrong day") {
			t.Errorf("%s after an abort: %v", what, err)
		}
	}
	s.Record.Plan = nil
	if _, err := rollout.Pause(s.Record, "ada"); err == nil || !strings.Contains(err.Error(), "published without a plan") {
		t.Error(err)
	}
}

func second(_ *record.Record, err error) error { return err }
