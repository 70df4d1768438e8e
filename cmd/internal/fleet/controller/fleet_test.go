package controller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/controller"
	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	channel = "prod"
	base    = "sha256:old"
	target  = "sha256:new"
)

// clock moves time forward: what happened before a jump stays where it was.
type clock struct {
	mu    sync.Mutex
	jumps []jump
}

type jump struct {
	at time.Time
	by time.Duration
}

func (c *clock) of(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	to := t
	for _, j := range c.jumps {
		if !t.Before(j.at) {
			to = to.Add(j.by)
		}
	}
	return to
}

func (c *clock) jump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jumps = append(c.jumps, jump{time.Now(), by})
}

// agent follows the channel by a connection of its own, as far as a controller can tell: it serves what records ask for
// unless it refuses, and acknowledges.
type agent struct {
	f      *testFleet
	nc     *nats.Conn
	name   string
	labels map[string]string

	mu       sync.Mutex
	ack      record.Ack
	dead     bool
	served   map[string]bool
	unsigned int // records that no trusted key signed
}

// testFleet is a broker and agents, and the controllers that run.
type testFleet struct {
	t              *testing.T
	broker         *fleettest.Broker
	clock          clock
	release, stage note.Signer
	keys           *record.Keys
	link           *fleet.Link
	agents         []*agent

	refuse  func(*agent) bool            // the target
	counted func(*agent) record.Counters // what an agent counts by each beat; nil: a hundred decisions

	mu   sync.Mutex
	seen map[string]controller.Seen       // by controller
	view map[string]map[string]record.Ack // by controller and agent
}

func newFleet(t *testing.T, agents int, refuse func(*agent) bool) *testFleet {
	t.Helper()
	f := &testFleet{
		t: t, broker: fleettest.StartBroker(t), refuse: refuse,
		seen: map[string]controller.Seen{}, view: map[string]map[string]record.Ack{},
	}
	var releaseLine, stageLine string
	f.release, releaseLine = fleettest.Key(t, "release", record.RoleRelease)
	f.stage, stageLine = fleettest.Key(t, "stage", record.RoleStage)
	var err error
	if f.keys, err = record.ParseKeys([]byte(releaseLine + stageLine)); err != nil {
		t.Fatal(err)
	}
	f.link = f.connect()
	for i := range agents {
		a := &agent{f: f, nc: f.broker.Connect(), name: fmt.Sprintf("agent-%03d", i), served: map[string]bool{}}
		if i < agents/10 {
			a.labels = map[string]string{"ring": "canary"}
		}
		if _, err := a.nc.Subscribe(record.AnnounceSubject(channel), func(m *nats.Msg) { a.take(m.Data) }); err != nil {
			t.Fatal(err)
		}
		if err := a.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		f.agents = append(f.agents, a)
	}
	f.publish(base, nil, false)
	f.eventually("all agents serve the first release", func() bool { return f.serving(base) == agents })
	f.beat()
	return f
}

func (f *testFleet) connect() *fleet.Link {
	f.t.Helper()
	l, err := fleet.NewLink(f.broker.Connect(), "")
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

// take follows a record.
func (a *agent) take(message []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o, err := record.Open(message, channel, a.f.keys, time.Now())
	if err != nil {
		a.unsigned++
		return
	}
	if a.dead || o.Epoch <= a.ack.Epoch {
		return
	}
	k := &a.ack
	k.Agent, k.Channel, k.Labels, k.Epoch, k.State, k.Code, k.Error = a.name, channel, a.labels, o.Epoch, record.Applied, "", ""
	k.Wanted = o.Wanted(a.name, a.labels).Revision
	concerned := k.Wanted == target || o.State == record.Prepare
	switch {
	case concerned && a.f.refuse != nil && a.f.refuse(a):
		k.State, k.Code, k.Error = record.Refused, record.CodePolicy, "a.rego:3: no"
	case o.State == record.Prepare:
		k.State = record.Ready
	case k.Serves != k.Wanted:
		k.Serves, k.Counters = k.Wanted, record.Counters{}
		a.served[k.Serves] = true
	}
	a.say()
}

// say acknowledges. a.mu is held.
func (a *agent) say() {
	a.ack.Sent = time.Now()
	text, err := json.Marshal(a.ack)
	if err != nil {
		a.f.t.Error(err)
		return
	}
	if _, err := a.nc.Request(record.AckSubject(channel, a.name), text, testutil.Patience); err != nil && !a.nc.IsClosed() {
		a.f.t.Error(err)
	}
}

// beat has all agents that live repeat themselves, with decisions that they made.
func (f *testFleet) beat() {
	for _, a := range f.agents {
		a.mu.Lock()
		if !a.dead {
			by := record.Counters{Decisions: 100}
			if f.counted != nil {
				by = f.counted(a)
			}
			a.ack.Counters.Decisions += by.Decisions
			a.ack.Counters.Errors += by.Errors
			a.say()
		}
		a.mu.Unlock()
	}
}

// pass lets time pass in steps that are shorter than the agents' silence may be. After each, all controllers have seen what the agents said.
func (f *testFleet) pass(d time.Duration) {
	f.t.Helper()
	for ; d > 0; d -= record.WatchedBeat {
		f.clock.jump(min(d, record.WatchedBeat))
		f.beat()
		f.eventually("the controllers have heard the agents", f.heard)
	}
}

func (f *testFleet) heard() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, view := range f.view {
		for _, a := range f.agents {
			a.mu.Lock()
			missing := !a.dead && !view[a.name].Sent.Equal(a.ack.Sent)
			a.mu.Unlock()
			if missing {
				return false
			}
		}
	}
	return true
}

func (f *testFleet) eventually(what string, is func() bool) {
	f.t.Helper()
	if !testutil.Eventually(is) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for name, seen := range f.seen {
			f.t.Logf("%s: %+v %v", name, seen.Verdict, seen.Err)
		}
		f.t.Fatalf("within %s it was not so that %s", testutil.Patience, what)
	}
}

// serving is how many agents serve a revision and acknowledged the newest record.
func (f *testFleet) serving(revision string) (n int) {
	epoch := f.now().Record().Epoch
	for _, a := range f.agents {
		a.mu.Lock()
		if a.ack.Serves == revision && a.ack.Epoch == epoch {
			n++
		}
		a.mu.Unlock()
	}
	return n
}

// everServed is how many agents have served a revision at any time.
func (f *testFleet) everServed(revision string) (n int) {
	for _, a := range f.agents {
		a.mu.Lock()
		if a.served[revision] {
			n++
		}
		a.mu.Unlock()
	}
	return n
}

func (f *testFleet) now() fleet.Now {
	f.t.Helper()
	now, err := f.link.Now(f.t.Context(), channel, f.keys)
	if err == nil {
		err = now.Err
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return now
}

// publish begins a rollout of a revision, or with no plan asks all for it.
func (f *testFleet) publish(revision string, plan *record.Plan, prepare bool) {
	f.t.Helper()
	now := f.now()
	r := &record.Record{State: record.Active, Target: record.Release{Revision: revision, Files: 1, Chunks: 1}, Cohort: record.Everybody(), By: "ada"}
	if now.Record() != nil {
		r.Base = now.Record().Settled()
	}
	for _, one := range []record.Release{r.Target, r.Base} {
		text, err := record.SealRelease(channel, one, time.Now(), f.release)
		if err != nil {
			f.t.Fatal(err)
		}
		r.Releases = append(r.Releases, text)
	}
	if plan != nil {
		v, err := f.link.View(f.t.Context(), channel)
		if err != nil {
			f.t.Fatal(err)
		}
		at := f.clock.of(v.Now())
		agents := controller.Agents(v)
		for i := range agents {
			agents[i].Heard = f.clock.of(agents[i].Heard)
		}
		if err := rollout.Begin(r, plan, prepare, agents, at); err != nil {
			f.t.Fatal(err)
		}
	}
	if _, err := f.link.Move(f.t.Context(), now, r, nil, f.release); err != nil {
		f.t.Fatal(err)
	}
}

func plan(t *testing.T, text string, soak time.Duration) *record.Plan {
	t.Helper()
	p, err := rollout.Parse(text, soak)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// control runs a controller that has a stage key, until what is returned is called.
func (f *testFleet) control(name string) (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	l := f.connect()
	go func() {
		done <- controller.Run(ctx, l, controller.Config{
			Channel: channel, Keys: f.keys, Signers: []note.Signer{f.stage}, Name: name, Time: f.clock.of,
			Tell: func(seen controller.Seen) bool { f.tell(name, seen); return false },
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
		f.mu.Lock()
		delete(f.view, name)
		f.mu.Unlock()
	})
	f.t.Cleanup(stop)
	f.eventually(name+" looks", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.view[name] != nil })
	return stop
}

func (f *testFleet) tell(name string, seen controller.Seen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seen.View != nil {
		acks := map[string]record.Ack{}
		for _, a := range seen.View.Agents() {
			acks[a.Agent] = a.Ack
		}
		f.view[name] = acks
	}
	seen.View = nil
	f.seen[name] = seen
}

func (f *testFleet) verdict(name string) rollout.Verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[name].Verdict
}

// stages are those of the records of the newest rollout, as the bucket remembers them.
func (f *testFleet) stages() (all []string) {
	f.t.Helper()
	kv, err := f.link.JetStream().KeyValue(f.t.Context(), record.Bucket)
	if err != nil {
		f.t.Fatal(err)
	}
	entries, err := kv.History(f.t.Context(), channel)
	if err != nil {
		f.t.Fatal(err)
	}
	var epochs []uint64
	for _, e := range entries {
		o, err := record.Open(e.Value(), channel, f.keys, time.Now())
		if err != nil {
			f.t.Fatal(err)
		}
		epochs = append(epochs, o.Epoch)
		if o.Plan == nil {
			continue
		}
		name := rollout.StageName(&o.Record)
		if o.Plan.Halted != "" {
			name += " halted"
		} else if !o.Plan.Runs() {
			name += " ended"
		}
		all = append(all, name)
	}
	if !slices.IsSorted(epochs) || len(slices.Compact(epochs)) != len(entries) {
		f.t.Errorf("the epochs are %v", epochs)
	}
	return all
}
