package engine

import (
	"time"

	"defenseclaw/engine/source"
)

// Result is how an attempt ended.
type Result string

// The results.
const (
	Success   Result = "success"   // a new generation serves
	Unchanged Result = "unchanged" // the source holds what serves already
	Failed    Result = "failed"    // refused; what served before still serves
	Held      Result = "held"      // sound, and [Config].Govern does not let it serve; what served before still serves
)

// Report says what one attempt did.
type Report struct {
	Trigger   Trigger
	Result    Result
	StartedAt time.Time
	Duration  time.Duration // from the beginning of reading to the swap; as returned by [Engine.Reload], to the end of the announcements

	Generation *Generation    // serves after the attempt; nil when nothing does
	Previous   *Generation    // served before it; nil when nothing did
	Refused    *Refused       // why, when Result is [Failed]
	Held       *Generation    // the candidate, when Result is [Held]
	Loss       *Loss          // what the new generation lacks because files are gone; nil when none are
	Ignored    source.Ignored // by the newest reading of the engine's own source
	Noticed    bool           // Ignored names a file that it did not name before
	Healed     bool           // the source is sound again after a failure, whether or not anything changed
	Phases     []Phase
	Outcomes   []Outcome // of the announcements made so far, in their order

	repeated bool     // the same candidate was held before
	newer    *request // that the attempt gave way to: it came to nothing, and there is nothing to tell
}

// Changed lists what differs between the generation before and the one that serves now: empty but not nil
// unless a new generation serves.
func (r *Report) Changed() []string {
	if r.Result != Success || r.Generation == nil {
		return []string{}
	}
	return r.Generation.Changed()
}

// Edit is Changed with what was added and what was removed; zero unless a new generation serves.
func (r *Report) Edit() source.Changed {
	if r.Result != Success || r.Generation == nil {
		return source.Changed{}
	}
	return r.Generation.Edit()
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

// Outcome is how one announcement went.
type Outcome struct {
	Name     string
	Err      error
	Duration time.Duration
}

// Phase is one part of an attempt.
type Phase struct {
	Name     string // read, parse, compile, check, review or swap
	Start    time.Time
	Duration time.Duration
}

// The phases, in their order.
const (
	phaseRead    = "read"
	phaseParse   = "parse"
	phaseCompile = "compile"
	phaseCheck   = "check"
	phaseReview  = "review"
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
