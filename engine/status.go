package engine

import "time"

// State is how what serves relates to the source.
type State string

// The states.
const (
	StateEmpty    State = "empty"    // nothing serves yet
	StateCurrent  State = "current"  // what serves is what the source held when last read
	StateStale    State = "stale"    // the source is broken; the last good generation serves
	StateRestored State = "restored" // the source is broken; the last good generation of an earlier run serves
)

// Status is one moment of an Engine. Not to be changed.
type Status struct {
	State      State
	Generation *Generation // nil when nothing serves
	Refused    *Refused    // what is wrong with the source, nil when nothing is
	Last       Report      // of the newest attempt on the engine's own source that had something to say, before its announcements; zero before the first
	Since      time.Time   // when the engine entered State

	// Lost are documents that decisions used since the process began and that no generation has defined since they were
	// lost; at most 100.
	Lost []LostDocument
}

// publish makes the outcome of an attempt the engine's status, once for each attempt.
func (e *Engine) publish(report *Report) {
	before := e.Status()
	now := Status{State: StateCurrent, Generation: report.Generation, Refused: e.refused, Last: *report}
	if report.Trigger.Source != nil { // what another source holds says nothing about this one, which may be broken
		now.Last = before.Last
	}
	switch {
	case report.Generation == nil:
		now.State = StateEmpty
	case report.Trigger.Source != nil && report.Refused == nil:
		now.State = StateRestored
	case report.Trigger.reads() && report.Refused != nil && before.State == StateRestored:
		now.State = StateRestored
	case now.Refused != nil:
		now.State = StateStale
	}
	now.Lost = stillLost(before.Lost, report)
	now.Since = before.Since
	if now.State != before.State {
		now.Since = time.Now()
	}
	e.status.Store(&now)
}
