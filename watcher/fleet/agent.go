package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"defenseclaw/watcher/fleet/credentials"
	"defenseclaw/watcher/fleet/record"
)

// ErrNoContact is wrapped by the error of [Agent.FS] while nothing was heard from the channel.
var ErrNoContact = errors.New("nothing was heard from the source since the start")

// Agent follows a channel. All methods are safe for concurrent use, but for Run, which is called once.
type Agent struct {
	cfg      Config
	keys     keyring
	disk     *disk // of the goroutine that applies, after New
	instance string
	look     chan struct{} // of capacity one: ask for the record now

	mu      sync.Mutex    // guards the fields below
	changed chan struct{} // closed, and replaced, when one of them has changed
	state   state         // as it is on disk, or is to be
	held    []*held       // what is at hand, the newest first
	wire    wire          // nil before Run

	swept     map[string]bool // what was needed when the disk was swept last; of the goroutine that applies
	unkeptErr string          // why the disk could not be written last; empty if it could
	delay     func(n int) time.Duration
	ping      time.Duration // between two pings of the connection

	link          linkHealth
	everConnected bool

	message  []byte         // the newest one that was taken
	newest   *record.Opened // what it says; nil: none was taken in this run
	rejected *rejected      // what came after it, and could not be taken; nil: nothing
	floor    uint64
	contact  time.Time          // of the last one
	stop     context.CancelFunc // ends what is done about the record before; nil: nothing is

	looked  uint64 // the epoch of the record whose release was made, or could not be
	lookErr error
	offered *Offer // what FS returns
	serves  string
	before  string // what served when it was looked at last
	unsure  bool   // a load was given up, and may have ended all the same
	loading bool   // Apply runs: what it comes to is waited for
	unasked string // why something else serves than was asked for; for the goroutine that applies
	moved   bool   // serves has changed without Apply
	done    standing

	ackDue  bool
	acked   time.Time // the last one that the stream has taken
	counted counted
}

// linkHealth is how it goes with the connection.
type linkHealth struct {
	up, usable bool
	server     string
	err        string
}

// rejected is a message that could not be taken.
type rejected struct {
	message []byte
	code    record.Code
	err     error
	since   time.Time
}

// standing is what became of a record.
type standing struct {
	epoch  uint64
	wanted string
	state  record.AckState
	code   record.Code
	err    string
	since  time.Time
}

// counted is what happened since the start.
type counted struct{ records, bytes, acks map[string]uint64 }

// New reads what is kept, and connects to nothing before Run.
func New(cfg Config) (*Agent, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a := &Agent{
		cfg: cfg, keys: keyring{path: cfg.Keys}, instance: rand.Text(),
		look: make(chan struct{}, 1), changed: make(chan struct{}), delay: reconnectDelay, ping: pingEvery,
		counted: counted{map[string]uint64{}, map[string]uint64{}, map[string]uint64{}},
	}
	if err := a.keys.read(); err != nil {
		return nil, err
	}
	if _, err := credentials.Options(cfg.Creds, cfg.CA); err != nil {
		return nil, fmt.Errorf("the source: %w", err)
	}
	var err error
	if a.disk, a.state, err = openDisk(cfg.Dir); a.disk == nil {
		return nil, fmt.Errorf("what is kept of the source: %w", err)
	}
	if err != nil {
		cfg.Tell(Event{Kind: EventUnkept, Err: err.Error()})
	}
	if a.state.Channel != cfg.Channel {
		a.state = state{Channel: cfg.Channel} // another channel's epochs mean nothing here
	}
	if a.floor = a.state.Floor; a.state.Good != nil {
		a.before = a.state.Good.Revision
	}
	a.done = standing{state: record.Waiting, err: ErrNoContact.Error(), since: time.Now()}
	a.wake()
	return a, nil
}

// wake has what is kept at hand, as far as it is sound. What is not is fetched again.
func (a *Agent) wake() {
	var faults []error
	for _, k := range []**kept{&a.state.Next, &a.state.Good} {
		if *k == nil {
			continue
		}
		h, _, err := a.kept(*k)
		if err != nil {
			faults, *k = append(faults, err), nil
			continue
		}
		a.hold(h)
	}
	if len(faults) > 0 {
		a.cfg.Tell(Event{Kind: EventUnkept, Err: errors.Join(faults...).Error()})
	}
}

// FS is the directory of [Agent.Offered].
func (a *Agent) FS() (fs.FS, error) {
	o, err := a.Offered()
	return o.Tree, err
}

// Offered is what the channel asks of this agent. Until that is known, it is an error that wraps [ErrNoContact].
func (a *Agent) Offered() (Offer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.offered != nil:
		return *a.offered, nil
	case a.rejected != nil:
		return Offer{}, fmt.Errorf("channel %s: %w", a.cfg.Channel, a.rejected.err)
	case a.lookErr != nil:
		return Offer{}, fmt.Errorf("channel %s: %w", a.cfg.Channel, a.lookErr)
	case a.link.err != "":
		return Offer{}, fmt.Errorf("channel %s: %w: %s", a.cfg.Channel, ErrNoContact, a.link.err)
	}
	return Offer{}, fmt.Errorf("channel %s: %w", a.cfg.Channel, ErrNoContact)
}

// LastGood is what served last, as the disk has it from an earlier run, with its revision; nil: nothing did.
func (a *Agent) LastGood() (fs.FS, string) {
	a.mu.Lock()
	k := a.state.Good
	if k == nil {
		k = a.state.Next
	}
	a.mu.Unlock()
	if k == nil {
		return nil, ""
	}
	if h := a.find(k.Revision); h != nil {
		return h.tree, h.revision
	}
	return nil, ""
}

// Signed reports whether a revision is that of a release at hand, for which a trusted key has signed.
func (a *Agent) Signed(revision string) bool { return a.find(revision) != nil }

// Serves tells the agent what serves now, whoever brought that about. why is for what was not asked of it; it may be empty.
func (a *Agent) Serves(revision, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.loading || a.serves == revision {
		return
	}
	a.serves, a.unasked, a.moved = revision, why, true
	a.signal()
}

// isKept reports whether what serves is on disk. a.mu is held.
func (a *Agent) isKept() bool {
	for _, k := range []*kept{a.state.Good, a.state.Next} {
		if k != nil && k.Revision == a.serves {
			return true
		}
	}
	return false
}

// Contact is when the request was sent, or the record came, that proved last what is newest; with a monotonic clock; zero:
// none did since the start. An answer that knows less than the agent does, or has expired, proves nothing.
func (a *Agent) Contact() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.contact
}

// signal wakes whoever waits for a change. a.mu is held.
func (a *Agent) signal() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// wait returns when a condition holds, which is asked with a.mu held, or ctx ends.
func (a *Agent) wait(ctx context.Context, condition func() bool) error {
	for {
		a.mu.Lock()
		ok, changed := condition(), a.changed
		a.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// count counts one of what happened.
func (a *Agent) count(in map[string]uint64, what string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in[what] += uint64(max(n, 0)) //nolint:gosec // it is not negative
}

// Health is how it goes with a source.
type Health struct {
	Connected bool
	Server    string // that it is connected to
	Error     string // of the connection, or why what is asked for does not serve

	Contact time.Time // see [Agent.Contact]
	Epoch   uint64    // of the newest record; 0: none was taken since the start
	Floor   uint64
	Wanted  string // a revision
	Serves  string
	State   record.AckState
	Code    record.Code
	Kept    bool // what serves is on disk
	Keys    []string

	Record *record.Opened // the newest; nil: none was taken since the start. Not to be changed
	Acked  time.Time      // when the last acknowledgement was taken; zero: none was

	Records map[string]uint64 // by result: applied, unchanged, replay, or the code of a refusal
	Bytes   map[string]uint64 // by kind: push, delta, snapshot
	Acks    map[string]uint64 // by result: sent, failed
}

// Health is how it goes now.
func (a *Agent) Health() Health {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := Health{
		Connected: a.link.usable, Server: a.link.server, Error: a.link.err, Contact: a.contact, Floor: a.floor,
		Wanted: a.done.wanted, Serves: a.serves, State: a.done.state, Code: a.done.code, Kept: a.isKept(), Keys: a.keys.now().Names(),
		Record: a.newest, Acked: a.acked,
		Records: maps.Clone(a.counted.records), Bytes: maps.Clone(a.counted.bytes), Acks: maps.Clone(a.counted.acks),
	}
	if a.newest != nil {
		h.Epoch = a.newest.Epoch
	}
	if a.done.err != "" && a.newest != nil {
		h.Error = a.done.err
	}
	if r := a.rejected; r != nil {
		h.State, h.Code, h.Error = record.Refused, r.code, r.err.Error()
	}
	return h
}
