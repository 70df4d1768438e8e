package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"defenseclaw/watcher"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/record"
)

// DefaultPoll is the default of [Config].Poll.
const DefaultPoll = 45 * time.Second

// Config says what is followed, and by whom. Zero fields mean the defaults given; the others are required.
type Config struct {
	Servers []string // URLs, nats:// or tls://
	Channel string
	Agent   string            // unique in the channel
	Labels  map[string]string // by which records select agents; may be nil
	Version string            // of the program

	Keys   string // the file of the keys that are trusted, as [record.ParseKeys] reads it; read again when it changes
	Creds  string // a file of NATS credentials, or of the seed of an nkey; empty: none
	CA     string // a file of certificates; empty: the system's
	Domain string // of JetStream; empty: the server's own

	Dir    string        // where the last good release is kept; made if it is not there
	Poll   time.Duration // between two looks at the record, more or less by half; default [DefaultPoll]
	Limits delta.Limits

	// Revision is that of files.
	Revision func(delta.Set) string
	// Tree makes a directory of files. It may share what has not changed with one that it made earlier: before is how from
	// became after; from is nil if there is none.
	Tree func(after delta.Set, from fs.FS, before delta.Change) (fs.FS, error)
	// Apply has what [Agent.FS] offers loaded, and says what it came to. When ctx ends, a newer record is there, and the
	// outcome is not asked for any more.
	Apply func(ctx context.Context, change watcher.Change) Outcome
	// Check loads a release, checks it as Apply would, and serves it not. The code is that of the error.
	Check func(ctx context.Context, release Offer) (record.Code, error)

	Counters func() record.Counters // since what serves does; nil: none
	Stale    func() record.Stale    // what is done about a source that is silent for too long; nil: nothing
	Tell     func(Event)            // is told what happens. It must not block. Nil: nothing is told.
}

// Offer is a release that an agent is to serve.
type Offer struct {
	Tree fs.FS
	Gone record.Gone // what it lacks on purpose

	// Back says that it is what served before a rollout that brought what serves. What the rollout had added may go.
	Back bool
}

// Outcome is what came of offering a release.
type Outcome struct {
	Serves  string      // the revision that serves; empty: none
	Err     error       // why what was offered is refused; nil: it is not
	Code    record.Code // of Err; empty: [record.CodePolicy]
	Waiting string      // why what was offered does not serve although nothing is wrong with it
}

// EventKind is what happened.
type EventKind string

// The kinds.
const (
	EventApplied     EventKind = "applied"     // a release serves that did not before
	EventRefused     EventKind = "refused"     // a record, or what it asks for
	EventConnected   EventKind = "connected"   // for the first time
	EventReconnected EventKind = "reconnected" //
	EventLost        EventKind = "lost"        // the connection
	EventKeys        EventKind = "keys"        // the file of keys was read again, or cannot be
	EventUnkept      EventKind = "unkept"      // what serves cannot be written to disk
)

// Event is what happened, with what is known of the record that it is about.
type Event struct {
	Kind     EventKind
	Epoch    uint64
	Revision string // that is asked for
	Serves   string
	Before   string // what served before an [EventApplied]
	Signers  []string
	By       string
	Message  string
	Code     record.Code
	Err      string
}

func (c *Config) check() error {
	if len(c.Servers) == 0 || c.Dir == "" || c.Revision == nil || c.Tree == nil || c.Apply == nil || c.Check == nil {
		return errors.New("fleet: Config.Servers, Dir, Revision, Tree, Apply and Check are required")
	}
	if c.Keys == "" {
		return errors.New("a file of the keys that are trusted was expected, and none is named")
	}
	if err := errors.Join(record.CheckName("the channel", c.Channel), record.CheckName("the agent", c.Agent)); err != nil {
		return err
	}
	if c.Poll == 0 {
		c.Poll = DefaultPoll
	}
	if c.Poll < 0 {
		return fmt.Errorf("the time between two looks is %s: more than 0 was expected", c.Poll)
	}
	if c.Counters == nil {
		c.Counters = func() record.Counters { return record.Counters{} }
	}
	if c.Stale == nil {
		c.Stale = func() record.Stale { return record.Stale{} }
	}
	if c.Tell == nil {
		c.Tell = func(Event) {}
	}
	return nil
}
