package fleettest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
)

// Light is an agent that has no engine and no disk, so that a machine can have ten thousand: a TCP connection of its own, a
// subscription, signatures that are verified, acknowledgements that the stream has taken. Agents of a process share the
// files of a revision; each delta is applied, and what comes out is hashed, once for all that have the same.
type Light struct {
	Channel string
	ID      string
	Keys    *record.Keys
	Agents  int                    // how many fetch at the same time
	Refuse  atomic.Pointer[string] // the revision that it does not take; nil: it takes all

	Revision func(delta.Set) string // nil: [Revision]

	Epoch  atomic.Uint64 // of the newest record that it acknowledged
	Serves atomic.Pointer[string]

	nc      *nats.Conn
	files   delta.Set
	mailbox chan []byte
}

// Run follows a channel until ctx ends.
func (l *Light) Run(ctx context.Context, url string, options ...nats.Option) error {
	l.mailbox = make(chan []byte, 1)
	again := make(chan struct{}, 1)
	options = append([]nats.Option{
		nats.Name(l.ID), nats.CustomInboxPrefix("_INBOX." + l.ID), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.PingInterval(20 * time.Second),
		nats.CustomReconnectDelay(func(attempt int) time.Duration { return rand.N(min(16*time.Second, 2*time.Second<<min(attempt, 8))) }),
		nats.ReconnectHandler(func(*nats.Conn) {
			select {
			case again <- struct{}{}:
			default: // it is about to ask
			}
		}),
	}, options...)
	var err error
	if l.nc, err = nats.Connect(url, options...); err != nil {
		return err
	}
	defer l.nc.Close()
	if _, err := l.nc.Subscribe(record.AnnounceSubject(l.Channel), func(m *nats.Msg) { l.post(m.Data) }); err != nil {
		return err
	}
	again <- struct{}{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			l.ask(ctx)
		case message := <-l.mailbox:
			l.take(ctx, message)
		}
	}
}

// ask gets the record, again and again until there is an answer.
func (l *Light) ask(ctx context.Context) {
	for ctx.Err() == nil {
		m, err := l.get(ctx, record.Stream, record.Subject(l.Channel))
		if err == nil {
			l.post(m)
			return
		}
		if !wait(ctx, rand.N(time.Second)) {
			return
		}
	}
}

func (l *Light) get(ctx context.Context, stream, subject string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	m, err := l.nc.RequestWithContext(ctx, record.DirectGet("$JS.API", stream, subject), nil)
	if err == nil && m.Header.Get("Status") != "" {
		err = fmt.Errorf("%s: %s", subject, m.Header.Get("Description"))
	}
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

// post puts a message into the mailbox, in place of the one that is there.
func (l *Light) post(message []byte) {
	for {
		select {
		case l.mailbox <- message:
			return
		default:
		}
		select {
		case <-l.mailbox:
		default:
		}
	}
}

func (l *Light) take(ctx context.Context, message []byte) {
	o, err := record.Open(message, l.Channel, l.Keys, time.Now())
	if err != nil || o.Epoch <= l.Epoch.Load() {
		return
	}
	wanted := o.Wanted(l.ID, nil)
	ack := record.Ack{Agent: l.ID, Channel: l.Channel, Epoch: o.Epoch, Wanted: wanted.Revision, State: record.Applied, Floor: o.Epoch, Keys: l.Keys.Names(), Version: "light"}
	if why := l.follow(ctx, o, wanted); why != "" {
		ack.State, ack.Code, ack.Error = record.Refused, record.CodePolicy, why
	}
	ack.Serves, ack.Sent = l.serves(), time.Now()
	text, err := json.Marshal(ack)
	if err != nil {
		return
	}
	for ctx.Err() == nil && len(l.mailbox) == 0 {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := l.nc.RequestWithContext(once, record.AckSubject(l.Channel, l.ID), text)
		cancel()
		if err == nil {
			l.Epoch.Store(o.Epoch)
			return
		}
		if !wait(ctx, rand.N(time.Second)) {
			return
		}
	}
}

func (l *Light) serves() string {
	if s := l.Serves.Load(); s != nil {
		return *s
	}
	return ""
}

// follow makes it serve what a record asks for, or says why not.
func (l *Light) follow(ctx context.Context, o *record.Opened, wanted record.Release) string {
	if wanted.Revision == l.serves() {
		return ""
	}
	if bad := l.Refuse.Load(); bad != nil && *bad == wanted.Revision {
		return "it refuses this one"
	}
	from, fromName, packed := l.files, l.serves(), o.Delta
	if fromName != o.Base.Revision || fromName == "" || !wanted.Equal(o.Target) || len(packed) == 0 {
		from, fromName = delta.Set{}, ""
		var err error
		if packed, err = l.snapshot(ctx, o, wanted); err != nil {
			return err.Error()
		}
	}
	files, err := unpacked.apply(from, fromName, packed, wanted.Revision, l.Revision)
	if err != nil {
		return err.Error()
	}
	l.files = files
	l.Serves.Store(&wanted.Revision)
	return ""
}

func (l *Light) snapshot(ctx context.Context, o *record.Opened, wanted record.Release) (packed []byte, err error) {
	if spread := time.Duration(max(l.Agents, o.Agents)) * time.Second / 2000; spread > 0 && !wait(ctx, rand.N(spread)) {
		return nil, ctx.Err()
	}
	for n := range wanted.Chunks {
		chunk, err := l.get(ctx, record.Objects, record.SnapshotSubject(wanted.Revision, n))
		if err != nil {
			return nil, err
		}
		packed = append(packed, chunk...)
	}
	return packed, nil
}

// Name is the id of the agent i of a crowd.
func Name(i int) string { return fmt.Sprintf("a%d", i) }

// wait is false if ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// unpacked is what the light agents of this process share.
var unpacked = memory{made: map[[sha256.Size]byte]func() (delta.Set, error){}}

type memory struct {
	mu   sync.Mutex
	made map[[sha256.Size]byte]func() (delta.Set, error)
}

// apply is [delta.Apply], once for agents that have the same files and get the same delta.
func (m *memory) apply(from delta.Set, fromName string, packed []byte, want string, revision func(delta.Set) string) (delta.Set, error) {
	if revision == nil {
		revision = Revision
	}
	key := sha256.Sum256(append([]byte(fromName+" "+want+" "), packed...))
	m.mu.Lock()
	make, ok := m.made[key]
	if !ok {
		make = sync.OnceValues(func() (delta.Set, error) {
			to, _, _, err := delta.Apply(from, fromName, packed, delta.Limits{})
			if got := revision(to); err == nil && got != want {
				err = fmt.Errorf("the files are of %s, and %s was expected", got, want)
			}
			return to, err
		})
		m.made[key] = make
	}
	m.mu.Unlock()
	return make()
}
