package fleet

import (
	"errors"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1_000_000, 0)
	r := &record.Record{
		Channel: "prod", Epoch: 10, State: record.Active, Cohort: record.Cohort{Percent: 100, Labels: map[string]string{"ring": "canary"}},
		Target: record.Release{Revision: "new"}, Base: record.Release{Revision: "old"},
	}
	prepare := *r
	prepare.State = record.Prepare
	canary := map[string]string{"ring": "canary"}
	for name, try := range map[string]struct {
		ack    record.Ack
		silent time.Duration
		of     *record.Record
		want   Standing
	}{
		"in the cohort, done":            {ack: record.Ack{Epoch: 10, Serves: "new", State: record.Applied, Labels: canary}, want: Serves},
		"outside, as it was":             {ack: record.Ack{Epoch: 10, Serves: "old", State: record.Applied}, want: Serves},
		"done, and silent since":         {ack: record.Ack{Epoch: 10, Serves: "old", State: record.Applied}, silent: time.Hour, want: Serves},
		"outside, and serves the target": {ack: record.Ack{Epoch: 10, Serves: "new", State: record.Applied}, want: Waits},
		"it has not seen it":             {ack: record.Ack{Epoch: 9, Serves: "old", State: record.Applied}, want: Behind},
		"right files, not seen":          {ack: record.Ack{Epoch: 9, Serves: "new", State: record.Applied, Labels: canary}, want: Behind},
		"refused an older one":           {ack: record.Ack{Epoch: 9, Serves: "old", State: record.Refused}, want: Behind},
		"refused":                        {ack: record.Ack{Epoch: 10, Serves: "old", State: record.Refused, Labels: canary}, want: Refuses},
		"refused, same revision":         {ack: record.Ack{Epoch: 10, Serves: "new", State: record.Refused, Labels: canary}, want: Refuses},
		"waits for a person":             {ack: record.Ack{Epoch: 10, Serves: "old", State: record.Waiting, Labels: canary}, want: Waits},
		"silent":                         {ack: record.Ack{Epoch: 9}, silent: time.Hour, want: Lost},
		"silent, and serves on":          {ack: record.Ack{Epoch: 9, Stale: record.Stale{After: 60, Action: "serve"}}, silent: time.Hour, want: Lost},
		"silent, and answers nobody":     {ack: record.Ack{Epoch: 9, Stale: record.Stale{After: 60, Action: "refuse"}}, silent: time.Hour, want: Gone},
		"silent, answers still":          {ack: record.Ack{Epoch: 9, Stale: record.Stale{After: 7200, Action: "refuse"}}, silent: time.Hour, want: Lost},
		"refuses without a bound":        {ack: record.Ack{Epoch: 9, Stale: record.Stale{Action: "refuse"}}, silent: time.Hour, want: Lost},
		"the broker went back":           {ack: record.Ack{Epoch: 11, Serves: "new", State: record.Applied}, want: Ahead},
		"ready":                          {of: &prepare, ack: record.Ack{Epoch: 10, Serves: "old", State: record.Ready, Labels: canary}, want: Ready},
		"not ready":                      {of: &prepare, ack: record.Ack{Epoch: 10, Serves: "old", State: record.Applied, Labels: canary}, want: Waits},
		"ready, and asked to serve":      {ack: record.Ack{Epoch: 10, Serves: "old", State: record.Ready, Labels: canary}, want: Waits},
	} {
		v := newView("prod", 0, func() time.Time { return clock })
		try.ack.Agent = "a"
		v.add(&heard{agent: "a", ack: try.ack, valid: true, at: clock.Add(-try.silent)})
		of := r
		if try.of != nil {
			of = try.of
		}
		if got := Judge(v, Question{Record: of}); len(got.Agents) != 1 || got.Agents[0].Standing != try.want {
			t.Errorf("%s: %s, and %s was expected", name, got.Agents[0].Standing, try.want)
		}
	}
}

func TestConverged(t *testing.T) {
	t.Parallel()
	for _, try := range []struct {
		counts    map[Standing]int
		expect    int
		converged bool
		settled   bool
	}{
		{map[Standing]int{Serves: 3}, 3, true, true},
		{map[Standing]int{Serves: 3}, 0, true, true},
		{map[Standing]int{Serves: 2, Gone: 1}, 3, true, true},
		{map[Standing]int{Serves: 2}, 3, false, false},
		{nil, 0, false, false},
		{map[Standing]int{Serves: 2, Behind: 1}, 0, false, false},
		{map[Standing]int{Serves: 2, Lost: 1}, 0, false, true},
		{map[Standing]int{Serves: 2, Refuses: 1}, 3, false, true},
		{map[Standing]int{Serves: 2, Ahead: 1}, 3, false, true},
		{map[Standing]int{Refuses: 2, Waits: 1}, 3, false, false},
	} {
		v := Verdict{Counts: try.counts}
		for s, n := range try.counts {
			for range n {
				v.Agents = append(v.Agents, Judged{Standing: s})
			}
		}
		if v.Converged(try.expect) != try.converged || v.Settled(try.expect) != try.settled {
			t.Errorf("%v of %d: converged %v, settled %v", try.counts, try.expect, v.Converged(try.expect), v.Settled(try.expect))
		}
	}
}

// Acknowledgements overtake each other, and two agents may have one name.
func TestTheHighestEpochOfAnAgentCounts(t *testing.T) {
	t.Parallel()
	v := newView("prod", 0, time.Now)
	hear := func(instance string, epoch uint64) {
		v.add(&heard{agent: "a", valid: true, ack: record.Ack{Agent: "a", Instance: instance, Epoch: epoch}, at: time.Now()})
	}
	hear("1", 5)
	hear("1", 4)
	if a := v.Agents()[0]; a.Epoch != 5 || a.Flapping {
		t.Errorf("an older one came later: %+v", a)
	}
	hear("2", 4) // it was started anew, without its disk
	if a := v.Agents()[0]; a.Epoch != 4 || a.Flapping {
		t.Errorf("after a restart: %+v", a)
	}
	hear("1", 5)
	if a := v.Agents()[0]; !a.Flapping {
		t.Error("two instances that take turns are one agent")
	}
	v.add(&heard{agent: "b"})
	if len(v.Agents()) != 1 || v.Invalid != 1 {
		t.Error("an acknowledgement that is none made an agent")
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	l, by := linkTo(t, fleettest.StartBroker(t)), signer(t, "release", record.RoleRelease)
	now := mustPublish(t, l, by, policy("one")).Now
	r := now.Record()
	say(t, l, applied("a", r))
	say(t, l, applied("b", r))
	v, err := l.Wait(within(t), now, Question{}, 2)
	if err != nil || !v.Converged(2) || v.String() != "2 of 2 agents serve "+r.Target.Revision+"; 0 refused, 0 lost" {
		t.Errorf("%s, %v", v, err)
	}
	go func() {
		refused := applied("c", r)
		refused.State, refused.Code, refused.Error, refused.Serves = record.Refused, record.CodeLimits, "p.rego is too large", ""
		say(t, l, refused)
	}()
	if v, err = l.Wait(within(t), now, Question{}, 3); err != nil || v.Converged(3) || names(v.Of(Refuses)) != "[c]" {
		t.Errorf("one refuses: %s, %v", v, err)
	}
	replaced := mustPublish(t, l, by, policy("two")).Now
	say(t, l, applied("a", replaced.Record()))
	if _, err = l.Wait(within(t), now, Question{}, 3); !errors.As(err, new(*Beaten)) {
		t.Errorf("the channel moved on: %v", err)
	}
	if v, err = l.Wait(within(t), replaced, Question{LostAfter: time.Nanosecond}, 3); err != nil || names(v.Of(Lost)) != "[b c]" {
		t.Errorf("two are lost: %s, %v", v, err)
	}
}
