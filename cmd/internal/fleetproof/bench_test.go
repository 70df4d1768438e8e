package fleetproof_test

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"defenseclaw/engine/corpus"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
)

// TestBench measures fleets of light agents at one broker, which is a process of its own. The agents share this process;
// their processor time is not the broker's, but on a small machine they are in its way.
func TestBench(t *testing.T) {
	if *sizes == "" {
		t.Skip("it measures, and only if it is asked to: make bench-fleet")
	}
	r := newReport()
	for size := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 {
			t.Fatalf("-sizes: %q is no number of agents", size)
		}
		if err := allowFiles(n + 1000); err != nil {
			t.Errorf("%d agents are left out: %v", n, err)
			continue
		}
		t.Run(size, func(t *testing.T) { measure(t, r, n) })
	}
	if *modules > 0 {
		t.Run("sidecar", func(t *testing.T) { measureSidecar(t, r, *modules) })
	}
	r.finish(t)
}

// bench is a fleet that is measured.
type bench struct {
	*testing.T
	ctx     context.Context
	report  *report
	n       int
	broker  *fleettest.Process
	channel *fleettest.Channel
	crowd   *fleettest.Crowd
	acks    *ackCounter
	message atomic.Int64 // the size of the last announcement
	version int
}

func measure(t *testing.T, r *report, n int) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	b := &bench{T: t, ctx: ctx, report: r, n: n, broker: fleettest.StartProcess(t, fleettest.ProcessConfig{})}
	nc := b.broker.Connect()
	var keys *record.Keys
	b.channel, keys = fleettest.NewChannel(t, nc, "prod")
	b.crowd = fleettest.NewCrowd(n, "prod", keys)
	b.acks = countAcks(ctx, t, fleettest.JetStream(t, nc))
	_, err := nc.Subscribe(record.AnnounceSubject("prod"), func(m *nats.Msg) { b.message.Store(int64(len(m.Data))) })
	b.must(err)
	b.start()
	b.edits()
	b.canary()
	b.storm()
	b.crowd.End()
}

func (b *bench) add(measure, unit string, values ...float64) {
	b.report.add(measure, unit, b.n, values...)
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// publish moves the channel to an edit of one module, and returns when that began, and when the record was about to be
// written.
func (b *bench) publish(change func(*record.Record)) (r *record.Record, began, moved time.Time) {
	b.Helper()
	b.version++
	files := corpus.Tenants(50)
	files[corpus.TenantPath(7)] = corpus.Tenant(7, b.version)
	set := delta.NewSet(func(yield func(string, []byte) bool) {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if !yield(name, []byte(files[name])) {
				return
			}
		}
	})
	began = time.Now()
	r, err := b.channel.Publish(b.ctx, set, func(r *record.Record) {
		if change != nil {
			change(r)
		}
		moved = time.Now()
	})
	b.must(err)
	return r, began, moved
}

// start measures agents that connect and fetch for the first time, fifty at a time, and what a broker keeps for each.
func (b *bench) start() {
	r, _, _ := b.publish(nil)
	alone := b.usage()
	began := time.Now()
	b.crowd.Run(b.T, b.broker.URL())
	b.must(b.acks.wait(b.ctx, r.Epoch, b.n))
	b.add("all connect, fetch and have acked", "s", time.Since(began).Seconds())
	b.add("broker's memory per agent after that", "kB", float64(b.usage().Memory-alone.Memory)/float64(b.n)/1000)
}

// edits measures edits of one module.
func (b *bench) edits() {
	const most, budget = 20, 40 * time.Second
	alone := b.usage()
	var all, publishing []float64
	for began := time.Now(); len(all) < most && time.Since(began) < budget; {
		r, started, moved := b.publish(nil)
		b.must(b.acks.wait(b.ctx, r.Epoch, b.n))
		all = append(all, time.Since(moved).Seconds()*1000)
		publishing = append(publishing, time.Since(started).Seconds()*1000)
	}
	now, per := b.usage(), float64(b.n*len(all))
	b.add("record is written → all have acked", "ms", all...)
	b.add("publish begins → all have acked", "ms", publishing...)
	b.add("message of an edit", "B", float64(b.message.Load()))
	b.add("broker sends per agent and edit", "B", float64(now.Out-alone.Out)/per)
	b.add("broker takes per agent and edit", "B", float64(now.In-alone.In)/per)
	if now.Processor > 0 {
		b.add("broker's processor time per agent and edit", "ms", (now.Processor-alone.Processor).Seconds()*1000/per)
	}
	b.add("broker's memory in all after edits", "MB", float64(now.Memory)/1e6)
	b.add("consumers, one of which is who waits", "", float64(now.Consumers))
}

// canary publishes a release that every agent would refuse to one percent, and takes it back at the first refusal.
func (b *bench) canary() {
	bad := func(r *record.Record) {
		r.Cohort = record.Cohort{Percent: 1}
		for r.Cohort.Salt = "0"; !b.anybody(r.Cohort); r.Cohort.Salt += "0" {
			continue
		}
		for _, one := range b.crowd.Agents {
			one.Refuse.Store(&r.Target.Revision)
		}
	}
	r, _, moved := b.publish(bad)
	b.must(b.acks.waitRefused(b.ctx, r.Epoch))
	b.add("canary of 1 %: first refusal after", "ms", time.Since(moved).Seconds()*1000)
	back, err := b.channel.Rest(b.ctx, nil)
	b.must(err)
	b.must(b.acks.wait(b.ctx, back.Epoch, b.n))
	b.add("canary of 1 %: all know that it was taken back after", "ms", time.Since(moved).Seconds()*1000)
	b.acks.mu.Lock()
	defer b.acks.mu.Unlock()
	b.add("canary of 1 %: agents that it was offered to", "", float64(b.acks.refusals(r.Epoch)))
}

func (b *bench) anybody(c record.Cohort) bool {
	for _, one := range b.crowd.Agents {
		if c.Holds(one.ID, nil) {
			return true
		}
	}
	return false
}

// storm kills the broker, starts it, and publishes an edit at once.
func (b *bench) storm() {
	b.broker.Kill()
	began := time.Now()
	b.broker.Start()
	r, _, _ := b.publish(nil)
	var most int
	for most < b.n {
		most = max(most, b.usage().Connections)
		b.must(b.ctx.Err())
		time.Sleep(20 * time.Millisecond)
	}
	b.add("broker is killed and started: all are back after", "s", time.Since(began).Seconds())
	b.must(b.crowd.Wait(b.ctx, r.Epoch))
	b.add("broker is killed and started: all have the next edit after", "s", time.Since(began).Seconds())
	if u := b.usage(); u.Processor > 0 {
		b.add("broker is killed and started: its processor time", "s", u.Processor.Seconds())
	}
}

// usage is what a broker says of itself, and what the system says of its process.
type usage struct {
	Memory      int64 `json:"mem"`
	In          int64 `json:"in_bytes"`
	Out         int64 `json:"out_bytes"`
	Connections int   `json:"connections"`
	Consumers   int   `json:"-"`
	Processor   time.Duration
}

func (b *bench) usage() (u usage) {
	b.Helper()
	b.must(b.broker.Monitor("/varz", &u))
	var js struct{ Consumers int }
	b.must(b.broker.Monitor("/jsz", &js))
	u.Consumers, u.Processor = js.Consumers, processor(b.broker.PID())
	return u
}
