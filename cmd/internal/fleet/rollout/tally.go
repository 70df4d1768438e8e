package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// For how long an agent is silent until it counts as lost, and what a broker and an agent may take to be heard.
const (
	lostAfter        = 3 * record.Beat
	watchedLostAfter = 4*record.WatchedBeat + slack // after a broker's end, agents take up to 16 s to come back
	slack            = 5 * time.Second

	silentAfter = 2*record.WatchedBeat + slack // for a stage to go on
)

// Agent is the newest acknowledgement of an agent.
type Agent struct {
	record.Ack
	Heard time.Time // when the broker took it
}

// Situation is what a rollout is judged by. All times are of one clock.
type Situation struct {
	Record  *record.Record
	Written time.Time // when the broker took the record
	Agents  []Agent
	Now     time.Time

	// Listening is since when acknowledgements are heard without a break: silence before it counts for nothing. Zero: always.
	Listening time.Time
}

// Refusal is why an agent does not serve the target.
type Refusal struct {
	Agent string      `json:"agent"`
	Code  record.Code `json:"code"`
	Error string      `json:"error"`
}

// Counts are sums over agents.
type Counts struct {
	Decisions uint64 `json:"decisions"`
	Errors    uint64 `json:"errors"`
	Replayed  uint64 `json:"replayed"`
	Flips     uint64 `json:"flips"`
}

func (c *Counts) add(of record.Counters) {
	c.Decisions += of.Decisions
	c.Errors += of.Errors
	c.Replayed += of.Replayed
	c.Flips += of.Flips
}

// Tally is how a stage stands. The lists name agents, sorted.
type Tally struct {
	Cohort     int       `json:"cohort"` // how many agents count: who was lost before the stage began does not
	Done       int       `json:"done"`   // of them, how many serve the target or, while it is prepared, are ready to
	Behind     []string  `json:"behind,omitempty"`
	Silent     []string  `json:"silent,omitempty"` // for too long to go on, and not for long enough to be lost
	Refused    []Refusal `json:"refused,omitempty"`
	Lost       []string  `json:"lost,omitempty"`
	LostBefore []string  `json:"lost_before,omitempty"`
	Ahead      []string  `json:"ahead,omitempty"` // they know a newer record than the broker has
	Of         Counts    `json:"of"`              // who serves the target
	Rest       Counts    `json:"rest"`            // who is outside of the cohort, and serves the base
}

// Count counts the agents of the stage that a record is at. The record has a plan.
func Count(s Situation) Tally {
	var t Tally
	agents := slices.Clone(s.Agents)
	slices.SortFunc(agents, func(a, b Agent) int { return cmp.Compare(a.Agent, b.Agent) })
	in := s.Record.Cohort
	if s.Record.State == record.Prepare {
		in = cohort(s.Record.Plan, len(s.Record.Plan.Stages)-1) // all who are to serve it in the end
	}
	for _, a := range agents {
		switch {
		case in.Holds(a.Agent, a.Labels):
			t.member(s, a)
		case a.Serves == s.Record.Base.Revision && s.Now.Sub(a.Heard) <= lostAfter:
			t.Rest.add(a.Counters)
		}
	}
	return t
}

// member counts an agent of the cohort.
func (t *Tally) member(s Situation, a Agent) {
	r := s.Record
	before := a.Heard.Add(lostAfter).Before(r.Plan.Since)
	refused := refuses(s, a)
	if before && !refused {
		t.LostBefore = append(t.LostBefore, a.Agent)
		return
	}
	t.Cohort++
	limit := lostAfter
	if a.Epoch == r.Epoch {
		limit = watchedLostAfter
	}
	silent := s.Now.Sub(a.Heard)
	heardFor := silent
	if s.Listening.After(a.Heard) {
		heardFor = s.Now.Sub(s.Listening)
	}
	switch {
	case refused:
		t.Refused = append(t.Refused, Refusal{a.Agent, a.Code, a.Error})
	case heardFor > limit:
		t.Lost = append(t.Lost, a.Agent)
	case a.Epoch > r.Epoch:
		t.Ahead = append(t.Ahead, a.Agent)
	case !does(r, a):
		t.Behind = append(t.Behind, a.Agent)
	case silent > silentAfter || diedLate(s, a):
		t.Silent = append(t.Silent, a.Agent)
	default:
		t.Done++
	}
	if a.Serves == r.Target.Revision && a.Epoch >= first(r) {
		t.Of.add(a.Counters)
	}
}

// diedLate reports whether nothing was heard of an agent since the stage had gone well for long enough. It may have died before that: its
// next heartbeat says that it has not. A stage that is shorter than a heartbeat does not wait for one.
func diedLate(s Situation, a Agent) bool {
	p := s.Record.Plan
	if s.Record.State == record.Prepare || soak(p) < record.WatchedBeat {
		return false
	}
	end := p.Since.Add(soak(p))
	return !s.Now.Before(end) && a.Heard.Before(end)
}

// does reports whether an agent has done what the record asks of its cohort. To repeat a revision is not enough: it has to
// speak of this record.
func does(r *record.Record, a Agent) bool {
	if a.Epoch != r.Epoch {
		return false
	}
	if r.State == record.Prepare {
		return a.State == record.Ready
	}
	return a.State == record.Applied && a.Serves == r.Target.Revision
}

// refuses reports whether an agent has an open refusal of the target, or of the record itself.
func refuses(s Situation, a Agent) bool {
	r := s.Record
	switch {
	case a.State != record.Refused:
		return false
	case a.Epoch == r.Epoch:
		return true
	case a.Epoch >= first(r) && a.Epoch < r.Epoch:
		return a.Wanted == r.Target.Revision
	case a.Epoch > r.Epoch:
		return false
	}
	// Who cannot verify a record acknowledges an older epoch. What it said shortly after the record was written may be of
	// the record before.
	const grace = record.WatchedBeat
	switch a.Code {
	case record.CodeSignature, record.CodeFuture, record.CodeExpired, record.CodeFormat:
		return a.Heard.After(s.Written.Add(grace))
	default:
		return false
	}
}

// first is the epoch of the first record of a rollout, which does not know its own when it is made.
func first(r *record.Record) uint64 {
	if r.Plan.First == 0 {
		return r.Epoch
	}
	return r.Plan.First
}

// names lists a few names, and how many more there are.
func names(all []string) string {
	const most = 5
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}

// reasons groups refusals by what they say, the most frequent first.
func reasons(all []Refusal) string {
	type reason struct {
		code  record.Code
		error string
	}
	by := map[reason][]string{}
	for _, one := range all {
		key := reason{one.Code, one.Error}
		by[key] = append(by[key], one.Agent)
	}
	var keys []reason
	for key := range by {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b reason) int {
		return cmp.Or(cmp.Compare(len(by[b]), len(by[a])), cmp.Compare(a.code, b.code), cmp.Compare(a.error, b.error))
	})
	const most, long = 3, 300
	var parts []string
	for _, key := range keys[:min(most, len(keys))] {
		text := strings.ToValidUTF8(key.error[:min(long, len(key.error))], "")
		parts = append(parts, fmt.Sprintf("%s: %s: %s", names(by[key]), key.code, text))
	}
	if more := len(keys) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("%d other reasons", more))
	}
	return strings.Join(parts, "; ")
}
