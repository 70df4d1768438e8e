package fleet

import (
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"defenseclaw/watcher"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"golang.org/x/mod/sumdb/note"
)

// Tests about time run in a bubble: the clock is its own, and the wire a map.

// board is a wire without a network.
type board struct {
	mu     sync.Mutex
	held   map[string][]byte // by subject
	asked  map[string][]time.Time
	acks   []record.Ack
	when   []time.Time // of the acks
	under  int         // acknowledgements under way
	most   int
	slow   time.Duration // that each answer takes
	broken error         // of get; nil: it works
}

func newBoard() *board { return &board{held: map[string][]byte{}, asked: map[string][]time.Time{}} }

func (b *board) get(ctx context.Context, _, subject string) ([]byte, error) {
	b.mu.Lock()
	b.asked[subject] = append(b.asked[subject], time.Now())
	m, ok, slow, broken := b.held[subject], b.held[subject] != nil, b.slow, b.broken
	b.mu.Unlock()
	if !pause(ctx, slow) {
		return nil, ctx.Err()
	}
	if broken != nil && subject != record.Subject("prod") {
		return nil, broken
	}
	if !ok {
		return nil, errNotFound
	}
	return m, nil
}

func (b *board) put(ctx context.Context, _ string, message []byte) error {
	b.mu.Lock()
	b.under++
	b.most = max(b.most, b.under)
	slow := b.slow
	b.mu.Unlock()
	pause(ctx, slow)
	var a record.Ack
	err := json.Unmarshal(message, &a)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.under--
	b.acks, b.when = append(b.acks, a), append(b.when, time.Now())
	return err
}

func (b *board) last() record.Ack {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.acks) == 0 {
		return record.Ack{}
	}
	return b.acks[len(b.acks)-1]
}

func (b *board) times(subject string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.asked[subject])
}

// bubble is an agent on a board.
type bubble struct {
	t      *testing.T
	board  *board
	agent  *Agent
	signer note.Signer
	keys   string
	base   delta.Set
	stop   func()
	bad    error // what Apply and Check refuse with; nil: they do not
}

func setOf(pairs ...string) delta.Set {
	all := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = []byte(pairs[i+1])
	}
	return delta.NewSet(maps.All(all))
}

// inBubble runs a test with an agent that follows the board.
func inBubble(t *testing.T, test func(b *bubble)) {
	synctest.Test(t, func(t *testing.T) {
		signer, line := fleettest.Key(t, "release", record.RoleRelease)
		b := &bubble{t: t, board: newBoard(), signer: signer, keys: filepath.Join(t.TempDir(), "keys")}
		b.trust(line)
		b.start(t.TempDir())
		test(b)
		b.stop()
	})
}

func (b *bubble) trust(text string) {
	if err := os.WriteFile(b.keys, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bubble) start(dir string) {
	var err error
	b.agent, err = New(Config{
		Servers: []string{"nats://nowhere"}, Channel: "prod", Agent: "web-1", Keys: b.keys, Dir: dir, Revision: fleettest.Revision,
		Tree: func(set delta.Set, _ fs.FS, _ delta.Change) (fs.FS, error) {
			tree := fstest.MapFS{}
			for _, f := range set.Files() {
				tree[f.Path] = &fstest.MapFile{Data: f.Content}
			}
			return tree, nil
		},
		Apply: func(context.Context, watcher.Change) Outcome {
			if b.bad != nil {
				return Outcome{Serves: b.agent.Health().Serves, Err: b.bad}
			}
			return Outcome{Serves: b.agent.Health().Wanted}
		},
		Check: func(context.Context, Offer) (record.Code, error) { return record.CodePolicy, b.bad },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	ended, loaded := make(chan struct{}), make(chan struct{})
	close(loaded)
	b.agent.link = linkHealth{up: true, usable: true}
	b.agent.look <- struct{}{}
	go func() { defer close(ended); b.agent.follow(ctx, b.board, loaded) }()
	b.stop = func() { cancel(); <-ended }
}

// release makes a record of files, and the objects if they are to be there.
func (b *bubble) release(next delta.Set, objects bool) *record.Record {
	b.t.Helper()
	r := &record.Record{
		V: record.Version, Channel: "prod", Epoch: record.NextEpoch(b.agent.floor, time.Now()), State: record.Active, Cohort: record.Everybody(), Agents: 1,
		Target: record.Release{Revision: fleettest.Revision(next), Files: len(next.Files()), Bytes: next.Bytes(), Chunks: 1},
	}
	if len(b.base.Files()) > 0 {
		r.Base = record.Release{Revision: fleettest.Revision(b.base), Files: 1, Bytes: 1, Chunks: 1}
		r.Chain = []string{r.Base.Revision}
	}
	snapshot, err := delta.Make(delta.Set{}, next, "", r.Target.Revision)
	if err != nil {
		b.t.Fatal(err)
	}
	if objects {
		b.board.mu.Lock()
		b.board.held[record.SnapshotSubject(r.Target.Revision, 0)] = snapshot
		b.board.mu.Unlock()
	}
	b.base = next
	return r
}

func (b *bubble) seal(r *record.Record) []byte {
	b.t.Helper()
	m, err := record.Seal(r, nil, b.signer)
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// publish puts a record on the board and pushes it.
func (b *bubble) publish(r *record.Record) {
	b.t.Helper()
	m := b.seal(r)
	b.board.mu.Lock()
	b.board.held[record.Subject("prod")] = m
	b.board.mu.Unlock()
	_, _ = b.agent.receive(m, time.Now(), true)
}

// pass lets time pass, and everything happen that then does.
func (b *bubble) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
