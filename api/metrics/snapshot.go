package metrics

import "time"

// Snapshot is the state of the sidecar at one moment, as GET /policy/status reports it.
type Snapshot struct {
	State      string    // current, stale, restored, embedded or empty
	Since      time.Time // when State began
	Generation uint64    // in service; 0 if there is none
	Watch      Watch
	Audit      Audit
	Decisions  DecisionLog
	Settings   Settings

	Control  string    // follow, held, pinned or confirming; empty when there is no directory to follow
	Deadline time.Time // of a confirmation; zero when nothing waits for one
	Expired  bool      // no decisions are made, for want of sound files

	Source      Source
	Connections Connections
	Workers     Workers
	Programs    Programs
	Recorder    Recorder
	Fleet       Fleet
}

// Fleet is how it goes with a channel that is followed. The zero value means that none is.
type Fleet struct {
	Epoch     uint64 // of the newest record; 0: none
	Connected bool
	Records   map[string]uint64 // since the start, by result
	Bytes     map[string]uint64 // since the start, by kind
	Acks      map[string]uint64 // since the start, by result
}

// Source is the contact with what policy comes from if not from a directory. The zero value means that it comes from none.
type Source struct {
	Age   time.Duration // since the request was sent that was answered last, or the start
	Stale bool          // it is longer than it may be
}

// Recorder counts decisions that are recorded.
type Recorder struct {
	Records int
	Strata  int // kinds of decisions
	Bytes   int
	Dropped map[string]uint64 // since the start, by reason
}

// Programs counts the decisions of compiled programs since the start.
type Programs struct {
	Decisions uint64 // that a program was asked for
	Asked     uint64 // of them, those that it left to OPA's evaluator
	Compared  uint64 // and those that were made in both ways
	Differed  uint64 // with another answer
}

// Workers counts the processes that evaluate for the sidecar.
type Workers struct {
	Running int
	Ended   map[string]uint64 // since the start, by reason
	Refused uint64            // evaluations that were refused because of what they had ended

	Reviewer         bool   // the process that evaluates changes runs
	ReviewerRestarts uint64 // starts of it after an end that nobody wanted
}

// Connections counts those of all listeners.
type Connections struct {
	Open     int
	Rejected map[string]uint64 // since the start, by reason
}

// Watch is the health of the watch.
type Watch struct {
	Mode        string // notify, poll, or off
	State       string // starting, watching, root-missing, stopped, or off
	Directories int
	Events      uint64 // since the start
	Dropped     uint64 // since the start
	LastScan    time.Time
}

// Audit is the health of the audit log.
type Audit struct {
	Written uint64 // since the start
	Lost    uint64 // since the start
	Backlog int    // records waiting to be written
	Alarms  uint64 // since the start
	Early   uint64 // records removed before their age, since the start
}

// Settings is how changes of config.yaml were taken.
type Settings struct {
	Applied uint64 // since the start
	Refused uint64 // since the start
	Broken  bool   // the newest was refused
	Waiting int    // settings that take effect after a restart
}

// DecisionLog counts the decision log's events since the start.
type DecisionLog struct {
	Written map[string]uint64 // by sink
	Dropped map[string]uint64 // by reason
}

// stale is how long the policy directory has held a policy that does not load.
func (m *moment) stale() time.Duration {
	switch m.State {
	case "stale", "restored", "empty":
		return max(0, m.time.Sub(m.Since))
	default:
		return 0
	}
}
