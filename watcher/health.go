package watcher

import "time"

// State is what the watcher is doing.
type State string

// The states.
const (
	StateStarting State = "starting"     // the first scan is not done
	StateWatching State = "watching"     // the directory is watched
	StateMissing  State = "root-missing" // the directory does not exist; the watcher waits for it
	StateStopped  State = "stopped"      // Run has ended
)

// Health is the state of a watcher at one moment.
type Health struct {
	Mode        Mode // ModeNotify or ModePoll: the mode in use, which may differ from Config.Mode
	State       State
	Reason      string // why it polls, and what it cannot watch; empty when all is well
	Directories int    // number watched, Root included
	Events      uint64 // number of events for relevant files and directories since Run began
	Dropped     uint64 // number of times that events were lost or the kernel reported an error; a scan followed each
	LastScan    time.Time
	NextPoll    time.Time
}
