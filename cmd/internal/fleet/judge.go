package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// Standing is how far an agent has come with a record.
type Standing string

// The standings. Of those that end a wait, only Serves and Gone are good.
const (
	Serves  Standing = "serves"  // it has acknowledged the record, and serves what the record asks of it
	Ready   Standing = "ready"   // it has loaded what the record prepares
	Refuses Standing = "refused" // it has said no
	Waits   Standing = "waiting" // it has the record, and not yet what it asks for
	Behind  Standing = "behind"  // it has not acknowledged the record
	Lost    Standing = "lost"    // behind or waiting, and nothing was heard of it for too long
	Gone    Standing = "gone"    // lost for so long that by its own settings it answers nobody
	Ahead   Standing = "ahead"   // it has seen a newer record: the broker went back
)

// Standings are all, in the order of reports.
func Standings() []Standing {
	return []Standing{Serves, Ready, Refuses, Waits, Behind, Lost, Gone, Ahead}
}

// Settled reports whether waiting changes nothing.
func (s Standing) Settled() bool { return s != Waits && s != Behind }

// LostAfter is for how long nothing is heard of an agent that is lost: three heartbeats, and some.
const LostAfter = 3*record.Beat + 10*time.Second

// Question is what [Judge] is asked.
type Question struct {
	Record    *record.Record
	Selector  map[string]string // only agents with these labels; nil: all
	LostAfter time.Duration     // 0: the constant
}

// Judged is an agent and how far it has come.
type Judged struct {
	Agent
	Wants    string // the revision that the record asks of it
	InCohort bool
	Standing Standing
	Silent   time.Duration // since when nothing was heard of it
}

// Verdict says how far a record has come.
type Verdict struct {
	Record *record.Record
	Agents []Judged // by name
	Counts map[Standing]int
}

// Judge says how far a record has come with the agents of a view.
func Judge(v *View, q Question) Verdict {
	if q.LostAfter <= 0 {
		q.LostAfter = LostAfter
	}
	found := Verdict{Record: q.Record, Counts: map[Standing]int{}}
	now := v.Now()
	for _, a := range v.Agents() {
		if !Selects(q.Selector, a.Labels) {
			continue
		}
		j := Judged{Agent: a, Silent: max(now.Sub(a.Heard), 0)}
		if q.Record != nil {
			j.Wants = q.Record.Wanted(a.Agent, a.Labels).Revision
			j.InCohort = q.Record.Cohort.Holds(a.Agent, a.Labels)
		}
		j.Standing = j.standing(q)
		found.Agents = append(found.Agents, j)
		found.Counts[j.Standing]++
	}
	return found
}

// Selects reports whether labels have all that a selector asks for.
func Selects(selector, labels map[string]string) bool {
	for name, want := range selector {
		if got, ok := labels[name]; !ok || got != want {
			return false
		}
	}
	return true
}

func (j *Judged) standing(q Question) Standing {
	r := q.Record
	switch {
	case r == nil || j.Epoch < r.Epoch:
		return j.lostOr(Behind, q)
	case j.Epoch > r.Epoch:
		return Ahead
	case j.State == record.Refused:
		return Refuses
	case r.State == record.Prepare && j.State == record.Ready:
		return Ready
	case r.State == record.Active && j.State == record.Applied && j.Serves == j.Wants:
		return Serves
	default:
		return j.lostOr(Waits, q)
	}
}

func (j *Judged) lostOr(otherwise Standing, q Question) Standing {
	switch bound := time.Duration(j.Stale.After * float64(time.Second)); {
	case j.Silent < q.LostAfter:
		return otherwise
	case j.Stale.Action == record.StaleRefuse && bound > 0 && j.Silent > bound:
		return Gone
	default:
		return Lost
	}
}

// Converged reports whether it is proved that every agent serves, or is ready for, what the record asks of it, and that there are at least
// as many agents as expected.
func (v Verdict) Converged(expect int) bool {
	return len(v.Agents) >= max(expect, 1) && v.Counts[Serves]+v.Counts[Ready]+v.Counts[Gone] == len(v.Agents)
}

// Settled reports whether waiting longer changes nothing.
func (v Verdict) Settled(expect int) bool {
	return len(v.Agents) >= max(expect, 1) && !slices.ContainsFunc(v.Agents, func(j Judged) bool { return !j.Standing.Settled() })
}

// String is the verdict in one line: what `fleet wait` prints last.
func (v Verdict) String() string {
	verb, done := "serve", v.Counts[Serves]
	if v.Record.State == record.Prepare {
		verb, done = "are ready for", v.Counts[Ready]
	}
	what := v.Record.Target.Revision
	if c := v.Record.Cohort; v.Record.Base.Revision != "" && v.Record.State == record.Active && (c.Percent < 100 || len(c.Labels) > 0) {
		what = "what the record asks of them"
	}
	text := fmt.Sprintf("%d of %d agents %s %s; %d refused, %d lost", done, len(v.Agents), verb, what, v.Counts[Refuses], v.Counts[Lost])
	var more []string
	for _, s := range []Standing{Waits, Behind, Gone, Ahead} {
		if n := v.Counts[s]; n > 0 {
			more = append(more, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(append([]string{text}, more...), ", ")
}

// Of lists the agents of a standing.
func (v Verdict) Of(s Standing) []Judged {
	var some []Judged
	for _, j := range v.Agents {
		if j.Standing == s {
			some = append(some, j)
		}
	}
	return some
}
