package fleetproof_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
	"defenseclaw/watcher/fleet/streams"

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

func (w *world) log(format string, args ...any) {
	w.t.Helper()
	w.t.Logf(format, args...)
}

// files makes those of a release that nobody has seen, mostly alike.
func (w *world) files(bad bool) delta.Set {
	w.version++
	all := map[string][]byte{"version": fmt.Append(nil, w.version), fmt.Sprintf("f%d", w.rand.IntN(4)): fmt.Append(nil, w.rand.Uint64())}
	for i := range w.rand.IntN(4) {
		all[fmt.Sprintf("g%d", i)] = []byte("the same")
	}
	if bad {
		all[badFile] = nil
	}
	set := delta.NewSet(maps.All(all))
	if bad {
		w.given.mu.Lock()
		w.given.bad[fleettest.Revision(set)] = true
		w.given.mu.Unlock()
	}
	return set
}

// publish is the publisher's. It tries until the broker takes it, and each try may have been taken.
func (w *world) publish(what string, change func(*record.Record)) {
	w.t.Helper()
	w.publishFiles(what, w.files(false), change)
}

func (w *world) publishFiles(what string, set delta.Set, change func(*record.Record)) {
	w.t.Helper()
	if !w.up {
		return
	}
	if w.lost { // what the others would need is not there
		change, w.lost = nil, false
	}
	w.attempt(func(ctx context.Context) (*record.Record, error) {
		return w.channel.Publish(ctx, set, func(r *record.Record) {
			if change != nil && r.Base.Revision != "" {
				change(r)
			}
			w.given.add(*r)
		})
	}, what)
}

func (w *world) attempt(do func(context.Context) (*record.Record, error), what string) {
	w.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
		r, err := do(ctx)
		cancel()
		if err == nil {
			w.log("publish %s: %.15s, base %.15s, epoch %d", what, r.Target.Revision, r.Base.Revision, r.Epoch)
			return
		}
		w.must(w.ctx.Err())
	}
}

func (w *world) publishToAll() { w.publish("everybody", nil) }

func (w *world) publishBad() { w.publishFiles("bad", w.files(true), w.some()) }

func (w *world) publishToSome() { w.publish("some", w.some()) }

// some makes a record one for some agents, or for all.
func (w *world) some() func(*record.Record) {
	cohort := record.Cohort{Percent: float64(w.rand.IntN(101)), Salt: fmt.Sprint(w.rand.IntN(5))}
	if w.rand.IntN(2) == 0 {
		cohort = record.Cohort{Percent: 100, Labels: map[string]string{"ring": "canary"}}
	}
	return func(r *record.Record) { r.Cohort = cohort }
}

func (w *world) prepare() {
	w.publishFiles("prepare", w.files(w.rand.IntN(3) == 0), func(r *record.Record) { r.State = record.Prepare })
}

// rest asks everybody for what all were given last.
func (w *world) rest() {
	if !w.up || w.lost {
		return
	}
	w.attempt(func(ctx context.Context) (*record.Record, error) {
		return w.channel.Rest(ctx, func(r *record.Record) { w.given.add(*r) })
	}, "rest")
}

// moveOnByStage moves the record of a release to more agents, as a controller does that has a stage key only.
func (w *world) moveOnByStage() {
	if !w.up || w.lost {
		return
	}
	set, change := w.files(false), w.some()
	w.attempt(func(ctx context.Context) (*record.Record, error) {
		trusted := w.channel.Signers
		defer func() { w.channel.Signers = trusted }()
		r, err := w.channel.Publish(ctx, set, func(r *record.Record) {
			change(r)
			for _, release := range []record.Release{r.Target, r.Base} {
				signed, err := record.SealRelease(channelName, release, time.Now(), trusted...)
				w.must(err)
				r.Releases = append(r.Releases, signed)
			}
			w.given.add(*r)
			w.channel.Signers = []note.Signer{w.stage}
		})
		return r, err
	}, "by stage")
}

// strange puts something into the bucket that agents must not take.
func (w *world) strange() {
	if !w.up {
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
	defer cancel()
	release, _, err := fleettest.Release(ctx, w.js, w.files(false), delta.Set{}, fleettest.Revision)
	if err != nil {
		return
	}
	r := &record.Record{V: record.Version, Channel: channelName, State: record.Active, Target: release, Cohort: record.Everybody(), Epoch: record.NextEpoch(w.channel.Epoch, time.Now())}
	what, signer := "signed by a stranger", w.other
	switch w.rand.IntN(5) {
	case 0:
		what, signer = "signed by a stage key alone", w.stage
	case 1:
		what, signer, r.Channel = "for another channel", w.channel.Signers[0], "test"
	case 2:
		what, signer, r.Epoch = "from next year", w.channel.Signers[0], record.NextEpoch(0, time.Now().AddDate(1, 0, 0))
	case 3:
		what, signer, r.Epoch = "from last year", w.channel.Signers[0], record.NextEpoch(0, time.Now().AddDate(-1, 0, 0))
		w.given.add(*r) // an agent without a floor takes it
	}
	message, err := record.Seal(r, nil, signer)
	w.must(err)
	if what == "signed by a stranger" && w.rand.IntN(2) == 0 {
		what, message[w.rand.IntN(len(message))] = "damaged", 0
	}
	kv, err := w.js.KeyValue(ctx, record.Bucket)
	if err == nil {
		_, err = kv.Put(ctx, channelName, message)
	}
	w.log("a record %s: %v", what, err)
}

func (w *world) stopBroker() {
	if !w.up {
		return
	}
	if w.rand.IntN(2) == 0 {
		w.broker.Stop()
	} else {
		w.broker.Kill()
	}
	w.log("the broker ends")
	w.up = false
}

func (w *world) startBroker() {
	if w.up {
		return
	}
	w.broker.Start()
	w.log("the broker starts")
	w.up = true
}

func (w *world) saveBroker() {
	w.stopBroker()
	w.saved = w.broker.SaveData()
	w.startBroker()
}

// goBack makes the broker forget what came after it was saved.
func (w *world) goBack() {
	if w.saved == "" {
		return
	}
	w.stopBroker()
	w.broker.RestoreData(w.saved)
	w.log("the broker goes back")
	w.lost = true
	w.startBroker()
}

// loseAll takes the broker's disk away.
func (w *world) loseAll() {
	w.stopBroker()
	w.broker.RestoreData("")
	w.log("the broker loses all")
	w.lost, w.saved = true, ""
	w.startBroker()
	w.attempt(func(ctx context.Context) (*record.Record, error) {
		_, err := streams.Create(ctx, w.js, streams.Options{})
		return &record.Record{}, err
	}, "streams")
}

func (w *world) partition() {
	i := w.rand.IntN(len(w.proxies))
	switch p := w.proxies[i]; w.rand.IntN(3) {
	case 0:
		w.log("network %d swallows", i)
		p.Swallow()
	case 1:
		w.log("network %d refuses", i)
		p.Refuse()
	case 2:
		w.log("network %d cuts", i)
		p.Cut()
	}
}

func (w *world) heal() {
	i := w.rand.IntN(len(w.proxies))
	w.log("network %d passes", i)
	w.proxies[i].Pass()
}

func (w *world) stopAgent() {
	f := w.agents[w.rand.IntN(len(w.agents))]
	w.must(f.stop())
	w.log("%s ends", f.id)
	if w.rand.IntN(4) == 0 {
		w.log("%s loses its disk", f.id)
		w.must(f.forget())
	}
}

func (w *world) startAgent() {
	f := w.agents[w.rand.IntN(len(w.agents))]
	if f.agent == nil {
		w.log("%s starts", f.id)
		w.must(f.start(w.file))
	}
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
