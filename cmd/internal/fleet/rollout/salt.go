package rollout

import (
	"crypto/rand"
	"math"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// Salt sets the salt of a plan, so that each rollout begins with other agents. Of the agents that were heard of lately, the
// first stage gets as many as its percentage says, and at least one, as far as a few thousand attempts find such a salt.
func Salt(p *record.Plan, agents []Agent, now time.Time) {
	var alive []Agent
	for _, a := range agents {
		if now.Sub(a.Heard) <= record.Beat+slack {
			alive = append(alive, a)
		}
	}
	first := p.Stages[0].Cohort
	if first.Percent >= 100 || len(alive) == 0 {
		SetSalt(p, rand.Text())
		return
	}
	const attempts = 4000 // 1 % of 100 agents are one or two for more than half of all salts
	best, bestOff := rand.Text(), math.Inf(1)
	for range attempts {
		first.Salt = rand.Text()
		if off := farFrom(first, alive); off < bestOff {
			best, bestOff = first.Salt, off
		}
		if bestOff <= 0 {
			break
		}
	}
	SetSalt(p, best)
}

// farFrom is how many agents too many or too few are in a cohort: 0 if it is near enough.
func farFrom(c record.Cohort, agents []Agent) float64 {
	eligible, in := 0, 0
	all := c
	all.Percent = 100
	for _, a := range agents {
		if all.Holds(a.Agent, a.Labels) {
			eligible++
			if c.Holds(a.Agent, a.Labels) {
				in++
			}
		}
	}
	if eligible == 0 {
		return 0 // no salt helps
	}
	if in == 0 {
		return math.Inf(1)
	}
	wanted := max(1, float64(eligible)*c.Percent/100)
	return max(0, math.Abs(float64(in)-wanted)-max(0.9, wanted/10))
}

// SetSalt gives all stages of a plan a salt.
func SetSalt(p *record.Plan, salt string) {
	for i := range p.Stages {
		p.Stages[i].Cohort.Salt = salt
	}
}
