package engine

import (
	"io/fs"
	"time"
)

// TriggerKind is what asked for a reload.
type TriggerKind string

// The kinds. Requests that share an attempt are reported under the one that stands last here.
const (
	TriggerPoll    TriggerKind = "poll"
	TriggerWatch   TriggerKind = "watch"
	TriggerStartup TriggerKind = "startup"
	TriggerSignal  TriggerKind = "signal"
	TriggerAPI     TriggerKind = "api"
)

func (k TriggerKind) rank() int {
	switch k {
	case TriggerAPI:
		return 4
	case TriggerSignal:
		return 3
	case TriggerStartup:
		return 2
	case TriggerWatch:
		return 1
	default:
		return 0
	}
}

// explicit reports whether somebody asked, who is to get an answer even when it repeats the last.
func (k TriggerKind) explicit() bool { return k.rank() >= TriggerStartup.rank() }

// Trigger asks for a reload.
type Trigger struct {
	Kind      TriggerKind
	Actor     string   // who asked, for the record; may be empty
	RequestID string   // of the request that asked; may be empty
	Paths     []string // what is known to have changed; a hint, never the whole truth

	// Recheck has every file read. Otherwise a watch or a poll has those read that Paths names or
	// whose stats differ; whoever else asks has all of them read.
	Recheck bool

	// Source is loaded in place of the engine's own when it is set: the last good policy of an
	// earlier run. What it loads serves as [StateRestored] until the engine's own source is sound.
	Source fs.FS
}

// Status is how an attempt ended.
type Status string

// The statuses.
const (
	StatusSuccess   Status = "success"   // a new generation serves
	StatusUnchanged Status = "unchanged" // the source holds what serves already
	StatusFailed    Status = "failed"    // refused; what served before still serves
)

// Report says what one attempt did.
type Report struct {
	Trigger   Trigger
	Status    Status
	StartedAt time.Time
	Duration  time.Duration // from the beginning of reading to the end of the announcements before

	Generation *Generation // serves after the attempt; nil when nothing does
	Previous   *Generation // served before it; nil when nothing did
	Refused    *Refused    // why, when Status is [StatusFailed]
	Healed     bool        // the source is sound again after a failure, whether or not anything changed
	Phases     []Phase
	Outcomes   []Outcome // of the announcements made so far, in their order
}

// Changed lists what differs between the generation before and the one that serves now: empty but
// not nil unless a new generation serves.
func (r *Report) Changed() []string {
	if r.Status != StatusSuccess || r.Generation == nil {
		return []string{}
	}
	return r.Generation.Changed()
}

// Outcome returns the error of the announcement of that name, nil when it went well or was not made.
func (r *Report) Outcome(name string) error {
	for _, o := range r.Outcomes {
		if o.Name == name {
			return o.Err
		}
	}
	return nil
}

// Phase is one part of an attempt.
type Phase struct {
	Name     string // read, parse, compile, check or swap
	Start    time.Time
	Duration time.Duration
}

// The phases, in their order.
const (
	phaseRead    = "read"
	phaseParse   = "parse"
	phaseCompile = "compile"
	phaseCheck   = "check"
	phaseSwap    = "swap"
)

// stopwatch times the phases of one attempt.
type stopwatch struct{ phases []Phase }

// begin ends the phase before.
func (s *stopwatch) begin(name string) {
	s.end()
	s.phases = append(s.phases, Phase{Name: name, Start: time.Now()})
}

func (s *stopwatch) end() {
	if n := len(s.phases); n > 0 && s.phases[n-1].Duration == 0 {
		s.phases[n-1].Duration = time.Since(s.phases[n-1].Start)
	}
}
