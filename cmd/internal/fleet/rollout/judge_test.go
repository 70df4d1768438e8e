package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/record"
)

var now = time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)

const (
	target = "sha256:new"
	base   = "sha256:old"
)

// started is a rollout to half of twenty agents, which all did what it asks for.
func started(t testing.TB, change func(*record.Plan)) rollout.Situation {
	t.Helper()
	p, err := rollout.Parse("ring=canary,100%", 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(p)
	}
	r := &record.Record{
		V: record.Version, Channel: "prod", Epoch: 100, Target: record.Release{Revision: target}, Base: record.Release{Revision: base},
		Releases: []string{"one", "two"},
	}
	if err := rollout.Begin(r, p, false, nil, now); err != nil {
		t.Fatal(err)
	}
	s := rollout.Situation{Record: r, Written: now, Now: now.Add(2 * time.Minute)}
	for i := range 20 {
		a := record.Ack{Agent: fmt.Sprintf("agent-%02d", i), Epoch: r.Epoch, State: record.Applied, Counters: record.Counters{Decisions: 1000, Errors: 10, Replayed: 100, Flips: 5}}
		if i < 10 {
			a.Labels = map[string]string{"ring": "canary"}
		}
		a.Wanted = r.Wanted(a.Agent, a.Labels).Revision
		a.Serves = a.Wanted
		s.Agents = append(s.Agents, rollout.Agent{Ack: a, Heard: s.Now})
	}
	return s
}

func refuse(a *rollout.Agent) {
	a.State, a.Code, a.Error, a.Serves = record.Refused, record.CodePolicy, "a.rego:3: no", base
}

// hear has all agents but some heard of now.
func hear(s *rollout.Situation, but ...int) {
	for i := range s.Agents {
		if !slices.Contains(but, i) {
			s.Agents[i].Heard = s.Now
		}
	}
}

func TestGates(t *testing.T) {
	t.Parallel()
	type situation = rollout.Situation
	canaries := func(change func(*rollout.Agent)) func(*situation) {
		return func(s *situation) {
			for i := range 10 {
				change(&s.Agents[i])
			}
		}
	}
	for name, try := range map[string]struct {
		plan   func(*record.Plan)
		change func(*situation)
		step   rollout.Step
		reason string
	}{
		"all well":                {step: rollout.GoOn, reason: "10 agents serve it, and made 10000 decisions"},
		"too early":               {change: func(s *situation) { s.Now = s.Now.Add(-10 * time.Second) }, step: rollout.Wait, reason: "has to go well for another 10s"},
		"a stage's own soak":      {plan: func(p *record.Plan) { p.Stages[0].Soak = time.Hour }, step: rollout.Wait, reason: "another 58m0s"},
		"paused":                  {plan: func(p *record.Plan) { p.Paused = true }, step: rollout.Paused, reason: "paused"},
		"one refused":             {change: func(s *situation) { refuse(&s.Agents[3]) }, step: rollout.TakeBack, reason: "1 refused (agent-03: policy: a.rego:3: no)"},
		"one refused, and paused": {plan: func(p *record.Plan) { p.Paused = true }, change: func(s *situation) { refuse(&s.Agents[3]) }, step: rollout.TakeBack},
		"many refused":            {change: canaries(refuse), step: rollout.TakeBack, reason: "10 refused (agent-00, agent-01, agent-02, agent-03, agent-04 and 5 more: policy"},
		"one outside refused":     {change: func(s *situation) { refuse(&s.Agents[13]) }, step: rollout.GoOn},
		"a refusal of the rollout before": {
			change: func(s *situation) { refuse(&s.Agents[3]); s.Agents[3].Epoch = 99; s.Agents[3].Wanted = "sha256:other" },
			step:   rollout.Wait, reason: "1 of 10 agents have not answered: agent-03",
		},
		"a refusal of an earlier stage": {
			plan:   func(p *record.Plan) { p.Stage = 0 },
			change: func(s *situation) { refuse(&s.Agents[3]); s.Record.Plan.First, s.Agents[3].Epoch = 90, 95 },
			step:   rollout.TakeBack,
		},
		"one cannot verify the record": {
			change: func(s *situation) {
				refuse(&s.Agents[3])
				s.Agents[3].Epoch, s.Agents[3].Code = 99, record.CodeSignature
			},
			step: rollout.TakeBack, reason: "bad_signature",
		},
		"what was said before the record": {
			change: func(s *situation) {
				refuse(&s.Agents[3])
				s.Agents[3].Epoch, s.Agents[3].Code, s.Written = 99, record.CodeSignature, s.Now.Add(-time.Second)
			},
			step: rollout.Wait, reason: "agent-03",
		},
		"one repeats the old record": {change: func(s *situation) { s.Agents[3].Epoch = 99 }, step: rollout.Wait, reason: "1 of 10 agents have not answered: agent-03"},
		"one waits":                  {change: func(s *situation) { s.Agents[3].State = record.Waiting }, step: rollout.Wait, reason: "agent-03"},
		"one serves something else":  {change: func(s *situation) { s.Agents[3].Serves = base }, step: rollout.Wait, reason: "agent-03"},
		"one is ahead":               {change: func(s *situation) { s.Agents[3].Epoch = 101 }, step: rollout.Wait, reason: "agent-03 know a newer record: the broker went back"},
		"one of ten is lost":         {change: func(s *situation) { s.Agents[3].Heard = s.Now.Add(-time.Minute) }, step: rollout.GoOn, reason: "9 agents serve it"},
		"two of ten are lost": {
			change: func(s *situation) {
				s.Agents[3].Heard, s.Agents[4].Heard = s.Now.Add(-time.Minute), s.Now.Add(-time.Minute)
			},
			step: rollout.TakeBack, reason: "2 of 10 lost (agent-03, agent-04)",
		},
		"nobody listened when they were silent": {
			change: func(s *situation) {
				s.Listening = s.Now.Add(-time.Second)
				s.Agents[3].Heard, s.Agents[4].Heard = s.Now.Add(-time.Minute), s.Now.Add(-time.Minute)
			},
			step: rollout.Wait, reason: "2 of 10 agents were not heard of lately: agent-03, agent-04",
		},
		"one of ten is late": {
			change: func(s *situation) { s.Agents[3].Heard = s.Now.Add(-30 * time.Second) },
			step:   rollout.Wait, reason: "1 of 10 agents were not heard of lately: agent-03",
		},
		"one may have died just before the end": {
			change: func(s *situation) {
				s.Now = s.Now.Add(time.Second)
				s.Agents[3].Heard = s.Now.Add(-2 * time.Second)
				hear(s, 3)
			},
			step: rollout.Wait, reason: "1 of 10 agents were not heard of lately: agent-03",
		},
		"one has died just before the end": {
			change: func(s *situation) {
				s.Now = s.Now.Add(50 * time.Second)
				for _, dead := range []int{3, 4} {
					s.Agents[dead].Heard = s.Now.Add(-51 * time.Second)
				}
				hear(s, 3, 4)
			},
			step: rollout.TakeBack, reason: "2 of 10 lost (agent-03, agent-04)",
		},
		"a stage shorter than a heartbeat waits for none": {
			plan: func(p *record.Plan) { p.Soak = 5 * time.Second },
			change: func(s *situation) {
				s.Now = now.Add(6 * time.Second)
				hear(s)
				s.Agents[3].Heard = now.Add(time.Second)
			},
			step: rollout.GoOn,
		},
		"two were lost before": {
			change: func(s *situation) {
				s.Agents[3].Heard, s.Agents[4].Heard = now.Add(-time.Hour), now.Add(-time.Hour)
				s.Agents[3].Epoch, s.Agents[4].Epoch = 7, 7
			},
			step: rollout.GoOn, reason: "8 agents serve it, and made 8000 decisions; 2 were lost before and do not count: agent-03, agent-04",
		},
		"all were lost before":      {change: canaries(func(a *rollout.Agent) { a.Heard = now.Add(-time.Hour) }), step: rollout.Inconclusive, reason: "no agent of the cohort answers; 10 were lost before"},
		"there is no agent":         {change: func(s *situation) { s.Agents = nil }, step: rollout.Inconclusive, reason: "no agent of the cohort answers"},
		"no traffic":                {change: canaries(func(a *rollout.Agent) { a.Counters = record.Counters{} }), step: rollout.Inconclusive, reason: "made 0 decisions, and 200 are needed"},
		"199 decisions":             {change: canaries(func(a *rollout.Agent) { a.Counters = record.Counters{Decisions: 19} }), step: rollout.Inconclusive, reason: "made 190 decisions"},
		"200 decisions":             {change: canaries(func(a *rollout.Agent) { a.Counters = record.Counters{Decisions: 20} }), step: rollout.GoOn},
		"no decisions needed":       {plan: func(p *record.Plan) { p.MinDecisions = -1 }, change: canaries(func(a *rollout.Agent) { a.Counters = record.Counters{} }), step: rollout.GoOn},
		"one point more errors":     {change: canaries(func(a *rollout.Agent) { a.Counters.Errors = 20 }), step: rollout.GoOn},
		"more than a point more":    {change: canaries(func(a *rollout.Agent) { a.Counters.Errors = 21 }), step: rollout.TakeBack, reason: "210 of 10000 decisions ended in an error, and 1 % elsewhere"},
		"few decisions, all errors": {change: canaries(func(a *rollout.Agent) { a.Counters = record.Counters{Decisions: 1, Errors: 1} }), step: rollout.TakeBack, reason: "10 of 10 decisions"},
		"few decisions, few errors": {
			change: func(s *situation) {
				canaries(func(a *rollout.Agent) { a.Counters = record.Counters{Decisions: 1} })(s)
				s.Agents[0].Counters.Errors = 1
			},
			step: rollout.Inconclusive,
		},
		"nobody to compare with": {
			change: func(s *situation) {
				s.Agents = s.Agents[:10]
				s.Record.Plan.Baseline = record.Share{Decisions: 1000, Errors: 1}
			},
			step: rollout.GoOn,
		},
		"worse than it was before": {
			change: func(s *situation) {
				s.Agents = s.Agents[:10]
				canaries(func(a *rollout.Agent) { a.Counters.Errors = 50 })(s)
				s.Record.Plan.Baseline = record.Share{Decisions: 1000, Errors: 39}
			},
			step: rollout.TakeBack, reason: "3.9 % elsewhere",
		},
		"flips that may be":     {plan: func(p *record.Plan) { p.MaxFlips = 0.05 }, step: rollout.GoOn},
		"too many flips":        {plan: func(p *record.Plan) { p.MaxFlips = 0.04 }, step: rollout.TakeBack, reason: "50 of 1000 replayed decisions flipped, and 4 % may"},
		"flips without a bound": {change: canaries(func(a *rollout.Agent) { a.Counters.Flips = 100 }), step: rollout.GoOn},
		"nothing to go back to": {change: func(s *situation) { refuse(&s.Agents[3]); s.Record.Base = record.Release{} }, step: rollout.Paused, reason: "there is no release to go back to"},
		"it has ended":          {change: func(s *situation) { s.Record.Plan.Stage = 2; refuse(&s.Agents[3]) }, step: rollout.Nothing, reason: "all stages went well"},
		"it was taken back":     {change: func(s *situation) { s.Record.Plan.Halted = "why" }, step: rollout.Nothing, reason: "it was taken back why"},
		"there was no plan":     {change: func(s *situation) { s.Record.Plan = nil }, step: rollout.Nothing, reason: "no plan"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := started(t, try.plan)
			if try.change != nil {
				try.change(&s)
			}
			v := rollout.Judge(s)
			if v.Step != try.step || !strings.Contains(v.Reason, try.reason) {
				t.Errorf("%s: %s; %s: %s was expected", v.Step, v.Reason, try.step, try.reason)
			}
			if next, _ := rollout.Next(s, "somebody"); (next != nil) != (v.Step == rollout.GoOn || v.Step == rollout.TakeBack) {
				t.Errorf("%s gives %+v", v.Step, next)
			}
		})
	}
}
