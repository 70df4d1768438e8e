package fleet

import (
	"cmp"
	"slices"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// Status is how a channel stands, as `fleet status --json` prints it.
type Status struct {
	Channel   string    `json:"channel"`
	Time      time.Time `json:"time"` // by the broker's clock
	Record    *Record   `json:"record,omitempty"`
	Problem   string    `json:"problem,omitempty"` // why there is no record, or why it is not trusted
	Agents    int       `json:"agents"`
	Converged bool      `json:"converged"`

	States   map[Standing]int `json:"states"`             // how many agents have come how far
	Serve    []Count          `json:"serve"`              // what they serve, the most frequent first
	Refusals []Refusal        `json:"refusals"`           // by reason, the most frequent first
	Lost     int              `json:"lost"`               // not heard of for too long, whatever they had acknowledged
	Oldest   *Contact         `json:"oldest,omitempty"`   // who was not heard of for longest
	Ahead    []string         `json:"ahead,omitempty"`    // they have seen a newer record: the broker went back; publish again
	Flapping []string         `json:"flapping,omitempty"` // two agents each
	Unkept   []string         `json:"unkept,omitempty"`   // what they serve is not on their disk
	Invalid  int              `json:"invalid_acks,omitempty"`
}

// Record is what the channel says, in short.
type Record struct {
	Epoch   uint64         `json:"epoch"`
	State   record.State   `json:"state"`
	Target  record.Release `json:"target"`
	Base    record.Release `json:"base,omitzero"`
	Cohort  record.Cohort  `json:"cohort"`
	Plan    *record.Plan   `json:"plan,omitempty"`
	Time    time.Time      `json:"time"`
	Expires time.Time      `json:"expires,omitzero"`
	By      string         `json:"by"`
	Message string         `json:"message,omitempty"`
	Signers []string       `json:"signers"`
}

// Count is how many agents serve a revision.
type Count struct {
	Revision string `json:"revision"` // empty: nothing
	Agents   int    `json:"agents"`
}

// Counts lists how many agents serve each revision, the most frequent first. It is never nil.
func Counts(serve map[string]int) []Count {
	all := make([]Count, 0, len(serve))
	for revision, n := range serve {
		all = append(all, Count{revision, n})
	}
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Agents, a.Agents), cmp.Compare(a.Revision, b.Revision))
	})
	return all
}

// Refusal is a reason, and who has it.
type Refusal struct {
	Code   record.Code `json:"code"`
	Error  string      `json:"error"`
	Agents []string    `json:"agents"`
}

// Contact is when an agent was heard of last.
type Contact struct {
	Agent  string    `json:"agent"`
	Heard  time.Time `json:"heard"`
	Silent float64   `json:"silent_s"`
}

// StatusOf makes a status of what a channel says and what its agents say.
func StatusOf(now Now, v *View, lostAfter time.Duration) Status {
	lostAfter = cmp.Or(lostAfter, LostAfter)
	return Judge(v, Question{Record: now.Record(), LostAfter: lostAfter}).Status(now, v, lostAfter)
}

// Status is [StatusOf] for who has judged the view by the record and the same time.
func (verdict Verdict) Status(now Now, v *View, lostAfter time.Duration) Status {
	s := Status{
		Channel: now.Channel, Time: v.Now(), Agents: len(verdict.Agents), Converged: now.Record() != nil && verdict.Converged(0),
		States: verdict.Counts, Refusals: []Refusal{}, Invalid: v.Invalid,
	}
	switch {
	case now.Err != nil:
		s.Problem = "the record is not trusted: " + now.Err.Error()
	case now.Message == nil:
		s.Problem = "the channel has no release"
	default:
		s.Record = InShort(now)
	}
	serve, reasons := map[string]int{}, map[reason][]string{}
	for _, j := range verdict.Agents {
		serve[j.Serves]++
		if j.State == record.Refused {
			why := reason{j.Code, j.Error}
			reasons[why] = append(reasons[why], j.Agent.Agent)
		}
		s.add(j, lostAfter)
	}
	s.Serve = Counts(serve)
	for why, who := range reasons {
		s.Refusals = append(s.Refusals, Refusal{why.code, why.text, who})
	}
	slices.SortFunc(s.Refusals, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(len(b.Agents), len(a.Agents)), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Error, b.Error))
	})
	return s
}

// reason is what refusals are grouped by.
type reason struct {
	code record.Code
	text string
}

func (s *Status) add(j Judged, lostAfter time.Duration) {
	if j.Silent >= lostAfter {
		s.Lost++
	}
	if s.Oldest == nil || j.Heard.Before(s.Oldest.Heard) {
		s.Oldest = &Contact{j.Agent.Agent, j.Heard, j.Silent.Seconds()}
	}
	if j.Standing == Ahead {
		s.Ahead = append(s.Ahead, j.Agent.Agent)
	}
	if j.Flapping {
		s.Flapping = append(s.Flapping, j.Agent.Agent)
	}
	if j.Serves != "" && !j.Kept {
		s.Unkept = append(s.Unkept, j.Agent.Agent)
	}
}

// InShort is a record that is trusted, without what only agents need.
func InShort(now Now) *Record {
	r := now.Record()
	short := &Record{
		Epoch: r.Epoch, State: r.State, Target: r.Target, Base: r.Base, Cohort: r.Cohort, Plan: r.Plan,
		Time: r.Time, Expires: r.Expires, By: r.By, Message: r.Message, Signers: []string{},
	}
	for _, signer := range now.Opened.By {
		short.Signers = append(short.Signers, signer.Name+" ("+string(signer.Role)+")")
	}
	return short
}
