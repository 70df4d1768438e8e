package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// acknowledge says what is so, whenever that changes, and repeats it. One acknowledgement is under way at a time: of two,
// the older could arrive last, and stay.
func (a *Agent) acknowledge(ctx context.Context) {
	for ctx.Err() == nil {
		due, cancel := context.WithTimeout(ctx, a.beat())
		_ = a.wait(due, func() bool { return a.ackDue && a.link.usable }) // the heart beats, if not
		cancel()
		if ctx.Err() == nil && a.usable() && a.spoken() && a.sayNow(ctx) != nil {
			pause(ctx, around(firstDelay))
		}
	}
}

// spoken reports whether the source has said anything: before, there is nothing to acknowledge.
func (a *Agent) spoken() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.newest != nil || a.lookErr != nil || a.rejected != nil
}

// beat is the time to the next heartbeat, a tenth more or less.
func (a *Agent) beat() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	every := record.Beat
	if r := a.newest; r != nil && r.Watched(a.cfg.Agent, a.cfg.Labels) {
		every = record.WatchedBeat
	}
	return every*9/10 + rand.N(every/5)
}

// sayNow sends what is so now.
func (a *Agent) sayNow(ctx context.Context) error {
	a.mu.Lock()
	a.ackDue = false
	ack := a.ack(time.Now())
	a.mu.Unlock()
	ack.Counters, ack.Stale = a.cfg.Counters(), a.cfg.Stale()
	text, err := json.Marshal(ack)
	if err == nil {
		err = a.wire.put(ctx, record.AckSubject(a.cfg.Channel, a.cfg.Agent), text)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.ackDue = true
		a.counted.acks["failed"]++
		a.link.err = fmt.Sprintf("the acknowledgement: %s", err)
		return err
	}
	a.counted.acks["sent"]++
	a.acked = time.Now()
	return nil
}

// ack is what is so. a.mu is held.
func (a *Agent) ack(now time.Time) record.Ack {
	d := a.done
	ack := record.Ack{
		Agent: a.cfg.Agent, Instance: a.instance, Channel: a.cfg.Channel, Epoch: d.epoch, Serves: a.serves, Wanted: d.wanted,
		State: d.state, Code: d.code, Error: clip(d.err), Kept: a.isKept(), Floor: a.floor, Keys: a.keys.now().Names(),
		Version: a.cfg.Version, Labels: a.cfg.Labels, Since: d.since.UTC(), Sent: now.UTC(),
	}
	if r := a.rejected; r != nil {
		ack.State, ack.Code, ack.Error, ack.Since = record.Refused, r.code, clip(r.err.Error()), r.since.UTC()
	}
	if !a.contact.IsZero() {
		ack.Age = now.Sub(a.contact).Seconds()
	}
	return ack
}

// clip bounds a message: a policy can have thousands of faults, and an acknowledgement is small.
func clip(s string) string {
	const most = 2 << 10
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
