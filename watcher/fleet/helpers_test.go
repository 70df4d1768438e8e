package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/watcher"
	"defenseclaw/watcher/fleet"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"
)

const channel = "prod"

// patience is far longer than anything here takes.
const patience = time.Minute

// files makes a set of paths and contents.
func files(pairs ...string) delta.Set {
	all := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = []byte(pairs[i+1])
	}
	return delta.NewSet(maps.All(all))
}

func treeOf(set delta.Set, _ fs.FS, _ delta.Change) (fs.FS, error) {
	tree := fstest.MapFS{}
	for _, f := range set.Files() {
		tree[f.Path] = &fstest.MapFile{Data: f.Content}
	}
	return tree, nil
}

// broker is one in this process or in another.
type broker interface {
	URL() string
	Connect(...nats.Option) *nats.Conn
}

// site is a broker, a publisher, and the keys.
type site struct {
	t      *testing.T
	broker broker
	js     jetstream.JetStream
	signer note.Signer
	line   string // of the signer
	keys   string // a file
	base   delta.Set
	chain  []string
	epoch  uint64
}

func newSite(t *testing.T) *site {
	t.Helper()
	return siteAt(t, fleettest.StartBroker(t))
}

func siteAt(t *testing.T, at broker) *site {
	t.Helper()
	s := &site{t: t, broker: at, keys: filepath.Join(t.TempDir(), "keys")}
	s.js = fleettest.JetStream(t, s.broker.Connect())
	s.signer, s.line = fleettest.Key(t, "release", record.RoleRelease)
	s.trust(s.line)
	return s
}

// trust writes the file of keys.
func (s *site) trust(lines ...string) {
	s.t.Helper()
	if err := os.WriteFile(s.keys, []byte(strings.Join(lines, "")), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// release puts the objects of files there, and returns a record that asks everybody for them.
func (s *site) release(next delta.Set) (*record.Record, []byte) {
	s.t.Helper()
	target, packed, err := fleettest.Release(s.t.Context(), s.js, next, s.base, fleettest.Revision)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &record.Record{Channel: channel, State: record.Active, Target: target, Cohort: record.Everybody(), By: "somebody", Message: "because"}
	s.epoch = record.NextEpoch(s.epoch, time.Now())
	r.Epoch = s.epoch
	if len(s.base.Files()) > 0 {
		r.Base = record.Release{Revision: fleettest.Revision(s.base), Files: len(s.base.Files()), Bytes: s.base.Bytes(), Chunks: 1}
		s.chain = append([]string{r.Base.Revision}, s.chain...)
		s.chain = s.chain[:min(len(s.chain), record.MaxChain)]
		r.Chain = s.chain
	}
	s.base = next
	return r, packed
}

// publish has everybody serve files.
func (s *site) publish(next delta.Set) *record.Record {
	s.t.Helper()
	r, packed := s.release(next)
	s.move(r, packed)
	return r
}

func (s *site) move(r *record.Record, packed []byte) {
	s.t.Helper()
	if err := fleettest.Move(s.t.Context(), s.js, r, packed, s.signer); err != nil {
		s.t.Fatal(err)
	}
}

// engine stands for what loads policy: it refuses files that are called bad.
type engine struct {
	mu      sync.Mutex
	agent   *fleet.Agent
	serves  string
	changes []watcher.Change
	events  []fleet.Event
	held    string // why nothing new may serve; empty: it may
}

func (e *engine) check(_ context.Context, release fleet.Offer) (record.Code, error) {
	if _, err := fs.Stat(release.Tree, "bad"); err == nil {
		return record.CodePolicy, errors.New("bad: it does not compile")
	}
	return "", nil
}

func revisionOf(tree fs.FS) string {
	all := map[string][]byte{}
	for p, f := range tree.(fstest.MapFS) {
		all[p] = f.Data
	}
	return fleettest.Revision(delta.NewSet(maps.All(all)))
}

func (e *engine) apply(ctx context.Context, change watcher.Change) fleet.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changes = append(e.changes, change)
	tree, err := e.agent.FS()
	if err == nil {
		_, err = e.check(ctx, fleet.Offer{Tree: tree})
	}
	switch {
	case err != nil:
		return fleet.Outcome{Serves: e.serves, Err: err}
	case e.held != "":
		return fleet.Outcome{Serves: e.serves, Waiting: e.held}
	}
	e.serves = revisionOf(tree)
	return fleet.Outcome{Serves: e.serves}
}

func (e *engine) tell(event fleet.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, event)
}

func (e *engine) told(kind fleet.EventKind) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.events {
		if event.Kind == kind {
			return true
		}
	}
	return false
}

// agent makes one that is not running yet.
func (s *site) agent(id, dir string, change func(*fleet.Config)) (*fleet.Agent, *engine) {
	s.t.Helper()
	e := &engine{}
	cfg := fleet.Config{
		Servers: []string{s.broker.URL()}, Channel: channel, Agent: id, Version: "v1", Keys: s.keys, Dir: dir,
		Revision: fleettest.Revision, Tree: treeOf, Apply: e.apply, Check: e.check, Tell: e.tell,
	}
	if change != nil {
		change(&cfg)
	}
	a, err := fleet.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	e.agent = a
	return a, e
}

// run runs an agent, and returns how to end it.
func (s *site) run(a *fleet.Agent) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	loaded, ended := make(chan struct{}), make(chan error, 1)
	close(loaded)
	go func() { ended <- a.Run(ctx, loaded) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

// start runs a new agent.
func (s *site) start(id string, change func(*fleet.Config)) (*fleet.Agent, *engine) {
	s.t.Helper()
	a, e := s.agent(id, s.t.TempDir(), change)
	s.run(a)
	return a, e
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// ack waits for an acknowledgement of an agent.
func (s *site) ack(id, what string, is func(record.Ack) bool) (got record.Ack) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), record.Acks)
	if err != nil {
		s.t.Fatal(err)
	}
	until(s.t, what, func() bool {
		got = record.Ack{}
		m, err := stream.GetLastMsgForSubject(s.t.Context(), record.AckSubject(channel, id))
		return err == nil && json.Unmarshal(m.Data, &got) == nil && is(got)
	})
	return got
}

// applied waits until an agent has acknowledged that it serves what a record asks for.
func (s *site) applied(id string, r *record.Record) record.Ack {
	s.t.Helper()
	return s.ack(id, "applied", func(a record.Ack) bool {
		return a.Epoch == r.Epoch && a.State == record.Applied && a.Serves == a.Wanted
	})
}
