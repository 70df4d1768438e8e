package rollout

import (
	"fmt"
	"math"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// Step is how a rollout stands.
type Step string

// The steps.
const (
	Nothing      Step = "nothing"      // no rollout runs: there was none, it has ended, or it was taken back
	Wait         Step = "wait"         // time, or agents that are still to answer, bring it on
	Paused       Step = "paused"       // a person has to resume or promote it
	Inconclusive Step = "inconclusive" // there is too little to judge by: a person has to promote it, or more decisions have to come
	GoOn         Step = "go on"        // the stage went well
	TakeBack     Step = "take back"    // a gate was not passed
)

// Verdict is what a situation calls for.
type Verdict struct {
	Step   Step   `json:"step"`
	Stage  string `json:"stage,omitempty"`
	Reason string `json:"reason"` // a clause, without a full stop
	Tally  Tally  `json:"tally"`
}

// Gates. What a stage has to pass, apart from refusals, of which there must be none.
const (
	maxLost   = 0.10 // of the cohort
	maxErrors = 0.01 // of decisions, more than the rest has
)

// Judge says how a rollout stands.
func Judge(s Situation) Verdict {
	p := s.Record.Plan
	switch {
	case p == nil:
		return Verdict{Step: Nothing, Reason: "no plan was published"}
	case p.Halted != "":
		return Verdict{Step: Nothing, Stage: StageName(s.Record), Reason: "it was taken back " + p.Halted}
	case !p.Runs():
		return Verdict{Step: Nothing, Stage: StageName(s.Record), Reason: "all stages went well"}
	}
	v := Verdict{Stage: StageName(s.Record), Tally: Count(s)}
	v.Step, v.Reason = v.Tally.judge(s)
	return v
}

func (t *Tally) judge(s Situation) (Step, string) {
	p := s.Record.Plan
	if why := t.failed(p); why != "" {
		if s.Record.Base.Revision == "" {
			return Paused, why + "; there is no release to go back to"
		}
		return TakeBack, why
	}
	switch {
	case p.Paused:
		return Paused, "somebody paused it"
	case len(t.Ahead) > 0:
		return Wait, fmt.Sprintf("%s know a newer record: the broker went back, so publish again", names(t.Ahead))
	case len(t.Behind) > 0:
		return Wait, fmt.Sprintf("%d of %d agents have not answered: %s", len(t.Behind), t.Cohort, names(t.Behind))
	case len(t.Silent) > 0:
		return Wait, fmt.Sprintf("%d of %d agents were not heard of lately: %s", len(t.Silent), t.Cohort, names(t.Silent))
	case t.Done == 0:
		return Inconclusive, "no agent of the cohort answers" + t.lostBefore()
	case s.Record.State == record.Prepare:
		return GoOn, fmt.Sprintf("%d agents are ready", t.Done) + t.lostBefore()
	}
	if left := p.Since.Add(soak(p)).Sub(s.Now); left > 0 {
		return Wait, fmt.Sprintf("it has to go well for another %s", left.Round(time.Second))
	}
	if need := minDecisions(p); t.Of.Decisions < need {
		return Inconclusive, fmt.Sprintf("the cohort made %d decisions, and %d are needed to judge", t.Of.Decisions, need) + t.lostBefore()
	}
	return GoOn, fmt.Sprintf("%d agents serve it, and made %d decisions", t.Done, t.Of.Decisions) + t.lostBefore()
}

func (t *Tally) lostBefore() string {
	if len(t.LostBefore) == 0 {
		return ""
	}
	return fmt.Sprintf("; %d were lost before and do not count: %s", len(t.LostBefore), names(t.LostBefore))
}

// failed says which gate the stage did not pass. Errors are compared as if the decisions that are still needed had gone
// well, so that few decisions halt nothing by chance, and a cohort where all go wrong does not have to make 200.
func (t *Tally) failed(p *record.Plan) string {
	switch {
	case len(t.Refused) > 0:
		return fmt.Sprintf("%d refused (%s)", len(t.Refused), reasons(t.Refused))
	case t.tooManyLost():
		return fmt.Sprintf("%d of %d lost (%s)", len(t.Lost), t.Cohort, names(t.Lost))
	case t.tooManyErrors(p):
		return fmt.Sprintf("%d of %d decisions ended in an error, and %.2g %% elsewhere", t.Of.Errors, t.Of.Decisions, 100*t.baseline(p))
	case t.tooManyFlips(p):
		return fmt.Sprintf("%d of %d replayed decisions flipped, and %.2g %% may", t.Of.Flips, t.Of.Replayed, 100*p.MaxFlips)
	default:
		return ""
	}
}

func (t *Tally) tooManyLost() bool { return float64(len(t.Lost)) > maxLost*float64(t.Cohort) }

func (t *Tally) tooManyErrors(p *record.Plan) bool {
	return t.Of.Errors > 0 && share(t.Of.Errors, max(t.Of.Decisions, minDecisions(p))) > t.baseline(p)+maxErrors
}

func (t *Tally) tooManyFlips(p *record.Plan) bool {
	return p.MaxFlips >= 0 && share(t.Of.Flips, t.Of.Replayed) > p.MaxFlips
}

// baseline is the share of errors that the cohort is compared with.
func (t *Tally) baseline(p *record.Plan) float64 {
	if t.Rest.Decisions >= max(minDecisions(p), 1) {
		return share(t.Rest.Errors, t.Rest.Decisions)
	}
	return share(p.Baseline.Errors, p.Baseline.Decisions)
}

func share(of, all uint64) float64 {
	if all == 0 {
		return 0
	}
	return math.Min(1, float64(of)/float64(all))
}

func minDecisions(p *record.Plan) uint64 {
	switch {
	case p.MinDecisions == 0:
		return DefaultMinDecisions
	case p.MinDecisions < 0:
		return 0
	default:
		return uint64(p.MinDecisions) //nolint:gosec // it is not negative
	}
}

func soak(p *record.Plan) time.Duration {
	if own := p.Stages[p.Stage].Soak; own > 0 {
		return own
	}
	return p.Soak
}
