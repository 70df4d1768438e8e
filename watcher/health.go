package watcher

import "time"

// State is what the watch is doing.
type State string

// The states.
const (
	StateStarting State = "starting"     // the first scan is not done
	StateWatching State = "watching"     // the directory is watched
	StateMissing  State = "root-missing" // the directory is not there; it is waited for
	StateStopped  State = "stopped"      // Run has ended
)

// Health is one moment of a watch.
type Health struct {
	Mode        Mode   // ModeNotify or ModePoll: what is done, not what was asked for
	State       State  //
	Reason      string // why it polls, or what it cannot watch; empty when all is well
	Directories int    // watched, below Root and including it
	Events      uint64 // about relevant files or directories, since Run began
	Dropped     uint64 // times that events were lost or the kernel reported an error; each was followed by a scan
	LastScan    time.Time
	NextPoll    time.Time
}
