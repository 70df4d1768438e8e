package fleetproof_test

import (
	"context"
	"fmt"
	"maps"
	"time"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
	"defenseclaw/watcher/fleet/streams"

	"golang.org/x/mod/sumdb/note"
)

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
