package fleetproof_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"
)

var (
	sequences = flag.Int("sequences", 1, "try `N` random sequences")
	seed      = flag.Uint64("seed", 0, "begin with the sequence `N`; 0: with any, and its number is printed")
)

const (
	channelName = "prod"
	badFile     = "bad"
)

// Whatever publishers, brokers, networks and disks do, in the end every agent serves the newest release that its cohort was
// given, and at no moment does one serve what no release key signed for it, or go back to an older record.
func TestInTheEndEveryAgentServesWhatItWasGiven(t *testing.T) {
	t.Parallel()
	first := *seed
	if first == 0 {
		first = rand.Uint64N(1_000_000) + 1
	}
	for n := range *sequences {
		number := first + uint64(n)
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			w := newWorld(t, number)
			w.run(25)
		})
		if t.Failed() {
			t.Fatalf("again: go test ./cmd/internal/fleetproof -run=InTheEnd -seed=%d", number)
		}
	}
}

// world is a broker, a publisher, strangers, and agents behind networks.
type world struct {
	t       *testing.T
	ctx     context.Context
	rand    *rand.Rand
	broker  *fleettest.Process
	js      jetstream.JetStream
	channel *fleettest.Channel
	keys    *record.Keys
	file    string // of the keys
	stage   note.Signer
	other   note.Signer // trusted by nobody
	agents  []*follower
	proxies []*fleettest.Proxy
	given   *given
	up      bool
	lost    bool   // the broker has lost what was published
	saved   string // what it had at some time
	version int
}

func newWorld(t *testing.T, number uint64) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	w := &world{
		t: t, ctx: ctx, rand: rand.New(rand.NewPCG(number, 1)), broker: fleettest.StartProcess(t, fleettest.ProcessConfig{}), up: true,
		given: &given{bad: map[string]bool{}}, file: filepath.Join(t.TempDir(), "keys"),
	}
	nc := w.broker.Connect()
	w.js = fleettest.JetStream(t, nc)
	release, line := fleettest.Key(t, "release", record.RoleRelease)
	stage, second := fleettest.Key(t, "stage", record.RoleStage)
	w.other, _ = fleettest.Key(t, "release", record.RoleRelease)
	w.stage = stage
	var err error
	w.keys, err = record.ParseKeys([]byte(line + second))
	w.must(err)
	w.must(os.WriteFile(w.file, []byte(line+second), 0o600))
	w.channel, _ = fleettest.NewChannel(t, nc, channelName)
	w.channel.Signers = []note.Signer{release}
	for range 2 {
		w.proxies = append(w.proxies, fleettest.StartProxy(t, w.broker.Address()))
	}
	for i := range 5 {
		f := &follower{
			id: fleettest.Name(i), labels: map[string]string{"ring": []string{"canary", "rest"}[i%2]}, dir: filepath.Join(t.TempDir(), "kept"),
			proxy: w.proxies[i%2], given: w.given,
		}
		w.agents = append(w.agents, f)
		t.Cleanup(func() {
			if err := f.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) run(steps int) {
	w.t.Helper()
	w.publish("everybody", nil)
	for _, f := range w.agents {
		w.must(f.start(w.file))
	}
	actions := []func(){
		w.publishToAll, w.publishToAll, w.publishToSome, w.publishToSome, w.publishBad, w.prepare, w.rest, w.moveOnByStage,
		w.strange, w.strange, w.stopBroker, w.stopBroker, w.startBroker, w.startBroker, w.saveBroker, w.goBack, w.loseAll,
		w.partition, w.partition, w.heal, w.heal, w.stopAgent, w.startAgent, w.startAgent,
	}
	for range steps {
		actions[w.rand.IntN(len(actions))]()
		time.Sleep(time.Duration(w.rand.IntN(150)) * time.Millisecond)
	}
	w.end()
}

// end heals everything, publishes again if the broker has not the newest record, and sees what all serve.
func (w *world) end() {
	w.t.Helper()
	w.log("all is well again")
	w.startBroker()
	for _, p := range w.proxies {
		p.Pass()
	}
	for _, f := range w.agents {
		if f.agent == nil {
			w.must(f.start(w.file))
		}
	}
	if newest := w.current(); w.lost || newest == nil || newest.Epoch != w.channel.Epoch {
		w.publish("again", w.some())
	}
	newest := w.current()
	if newest == nil {
		w.t.Fatal("the broker does not have what was published")
	}
	for _, f := range w.agents {
		var why error
		if !testutil.Eventually(func() bool { why = w.serves(f, newest); return why == nil }) {
			w.t.Errorf("%s: %v: %+v", f.id, why, f.agent.Health())
		}
	}
	w.given.mu.Lock()
	defer w.given.mu.Unlock()
	for _, wrong := range w.given.wrong {
		w.t.Error(wrong)
	}
}

// current is the record that the broker has, if it is one that agents take.
func (w *world) current() (newest *record.Opened) {
	w.t.Helper()
	w.attempt(func(ctx context.Context) (*record.Record, error) {
		kv, err := w.js.KeyValue(ctx, record.Bucket)
		if err != nil {
			return nil, err
		}
		e, err := kv.Get(ctx, channelName)
		if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil, err
		}
		if err == nil {
			if newest, err = record.Open(e.Value(), channelName, w.keys, time.Now()); err != nil {
				newest = nil
			}
		}
		return &record.Record{}, nil
	}, "read")
	return newest
}

// serves says in how far an agent does not serve what a record asks of it, or does not say so.
func (w *world) serves(f *follower, r *record.Opened) error {
	want := r.Wanted(f.id, f.labels).Revision
	w.given.mu.Lock()
	bad, badTarget := w.given.bad[want], w.given.bad[r.Target.Revision]
	w.given.mu.Unlock()
	state := record.Applied
	switch {
	case bad || r.State == record.Prepare && badTarget:
		state = record.Refused
	case r.State == record.Prepare:
		state = record.Ready
	}
	if serves := f.now(); (serves == want) == bad {
		return fmt.Errorf("it serves %.15s, and is asked for %.15s", serves, want)
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Second)
	defer cancel()
	stream, err := w.js.Stream(ctx, record.Acks)
	if err != nil {
		return err
	}
	m, err := stream.GetLastMsgForSubject(ctx, record.AckSubject(channelName, f.id))
	if err != nil {
		return err
	}
	var ack record.Ack
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return err
	}
	if ack.Epoch != r.Epoch || ack.State != state || ack.Serves != f.now() || ack.Wanted != want || ack.Floor != r.Epoch || !ack.Kept && ack.Serves != "" {
		return fmt.Errorf("it says %s", m.Data)
	}
	return nil
}
