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
	TriggerControl TriggerKind = "control" // nothing was read: what serves was chosen, by [Engine.Choose]
)

func (k TriggerKind) rank() int {
	switch k {
	case TriggerControl:
		return 5
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

// wantsAnswer reports whether a caller asked, who gets an answer even when it repeats the last one.
func (k TriggerKind) wantsAnswer() bool { return k.rank() >= TriggerStartup.rank() }

// Trigger asks for a reload.
type Trigger struct {
	Kind      TriggerKind
	Actor     string   // who asked, for the record; may be empty
	Client    string   // the program by which they asked, as it calls itself; may be empty
	RequestID string   // of the request that asked; may be empty
	Paths     []string // that changed as far as the caller knows; a hint, never the whole truth

	// Order and Reason are of TriggerControl: what was ordered, and why, for the record.
	Order, Reason string

	// Recheck reads every file. Without it, a watch or a poll reads those that Paths names or whose stats
	// differ. Other kinds read every file anyway.
	Recheck bool

	// Tests says that tests beside the policy may have changed, which are no part of it: what a review refused is reviewed
	// again, and [Config].Review decides whether anything has changed for it.
	Tests bool

	// AcceptRemovals says that files which serve and are gone were removed on purpose: they are not waited for, and
	// what [Config].Keep names may go with them.
	AcceptRemovals bool

	// Confirm is for [Config].Govern: within which time a new generation has to be confirmed; 0: it need not be.
	Confirm time.Duration

	// Override, if not empty, is why the candidate is to serve whatever a review says of it. It is for [Config].Review and
	// [Config].Govern.
	Override string

	// Source, if not nil, is loaded instead of the engine's own: the last good policy of an earlier run.
	// Its generation serves as [StateRestored] until the engine's own source is sound.
	Source fs.FS
}

// reads reports whether the trigger had the engine's own source read.
func (t Trigger) reads() bool { return t.Source == nil && t.Kind != TriggerControl }

// overrides ranks triggers of one kind: who overrides a review is the actor of what follows.
func (t Trigger) overrides() int {
	if t.Override != "" {
		return 1
	}
	return 0
}
