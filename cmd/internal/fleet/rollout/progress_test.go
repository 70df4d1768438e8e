package rollout_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/record"

	"pgregory.net/rapid"
)

// What the gates show is what the judge does.
func TestGatesAreWhatTheJudgeDecidesBy(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := started(t, func(p *record.Plan) {
			p.Paused = rapid.Bool().Draw(rt, "paused")
			p.MinDecisions = rapid.SampledFrom([]int{-1, 0, 20_000}).Draw(rt, "decisions")
			p.MaxFlips = rapid.SampledFrom([]float64{-1, 0, 0.05, 0.5}).Draw(rt, "flips")
		})
		if rapid.Bool().Draw(rt, "prepare") {
			s.Record.State = record.Prepare
		}
		s.Now = s.Now.Add(time.Duration(rapid.IntRange(-100, 100).Draw(rt, "later")) * time.Second)
		for i := range s.Agents {
			a := &s.Agents[i]
			a.Heard = s.Now
			switch rapid.SampledFrom([]string{"", "", "", "", "", "refuse", "lost", "silent", "behind", "ahead", "errors", "ready"}).Draw(rt, "agent") {
			case "refuse":
				refuse(a)
			case "lost":
				a.Heard = s.Now.Add(-time.Hour)
			case "silent":
				a.Heard = s.Now.Add(-30 * time.Second)
			case "behind":
				a.Epoch--
			case "ahead":
				a.Epoch++
			case "errors":
				a.Counters.Errors = 500
			case "ready":
				a.State = record.Ready
			}
		}
		v := rollout.Judge(s)
		states := map[rollout.GateState]int{}
		gates := v.Tally.Gates(s)
		for _, g := range gates {
			states[g.State]++
		}
		if (states[rollout.Failed] > 0) != (v.Step == rollout.TakeBack) {
			rt.Errorf("%s: %s, and the gates are %+v", v.Step, v.Reason, gates)
		}
		if well := states[rollout.Passed] == len(gates); v.Step == rollout.GoOn && !well || well && v.Step != rollout.GoOn && v.Step != rollout.Paused {
			rt.Errorf("%s: %s, and the gates are %+v", v.Step, v.Reason, gates)
		}
	})
}

func TestStagesOfARollout(t *testing.T) {
	t.Parallel()
	p, err := rollout.Parse("1%,ring=canary@30s,100%", 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	p.Since = now
	for name, try := range map[string]struct {
		stage  int
		state  record.State
		halted string
		want   string
	}{
		"prepare": {0, record.Prepare, "", "[prepare now] [1% next] [ring=canary next] [100% next]"},
		"first":   {0, record.Active, "", "[1% now] [ring=canary next] [100% next]"},
		"second":  {1, record.Active, "", "[1% done] [ring=canary now] [100% next]"},
		"ended":   {3, record.Active, "", "[1% done] [ring=canary done] [100% done]"},
		"halted":  {1, record.Active, "at ring=canary: no", "[1% done] [ring=canary halted] [100% never]"},
	} {
		plan := *p
		plan.Stage, plan.Halted = try.stage, try.halted
		all := rollout.Stages(&record.Record{State: try.state, Plan: &plan})
		var got []string
		for _, one := range all {
			got = append(got, fmt.Sprintf("[%s %s]", one.Name, one.State))
		}
		if text := fmt.Sprint(got); text != "["+try.want+"]" {
			t.Errorf("%s: %s", name, text)
		}
		i := slices.IndexFunc(all, func(one rollout.Progress) bool { return one.Name == "ring=canary" })
		if one := all[i]; one.Soak != 30*time.Second || one.State == rollout.StageNow && !one.Until.Equal(now.Add(30*time.Second)) {
			t.Errorf("%s: %+v", name, one)
		}
	}
	if all := rollout.Stages(&record.Record{}); all != nil {
		t.Errorf("without a plan there are %+v", all)
	}
}
