package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"defenseclaw/watcher"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/record"
)

// work does what the newest record asks for, one after the other. What comes meanwhile ends what is done about the one
// before.
func (a *Agent) work(ctx context.Context, loaded <-chan struct{}) {
	var at *record.Opened
	for {
		some, cancel := context.WithTimeout(ctx, keepAgain)
		_ = a.wait(some, func() bool { return a.newest != nil && a.newest != at || a.moved })
		cancel()
		if ctx.Err() != nil {
			return
		}
		a.mu.Lock()
		news, moved, unkept := a.newest != at, a.moved, a.unkeptErr != ""
		a.mu.Unlock()
		switch {
		case news:
			one, stop := context.WithCancel(ctx)
			a.mu.Lock()
			at, a.stop = a.newest, stop
			a.mu.Unlock()
			a.handle(one, at, loaded)
			stop()
		case moved:
			a.follows(at)
		case unkept && at != nil:
			a.keepNow(at)
		}
	}
}

// keepAgain is the time between two attempts to write to a disk that could not be written.
const keepAgain = time.Minute

// follows notes that something serves which the agent did not bring about.
func (a *Agent) follows(r *record.Opened) {
	a.mu.Lock()
	serves, wanted, why, state := a.serves, a.done.wanted, a.unasked, a.done.state
	a.moved, a.ackDue = false, true
	a.signal()
	a.mu.Unlock()
	h := a.find(wanted)
	if r == nil || h == nil {
		return
	}
	does, did := serves == wanted, state == record.Applied || state == record.Ready
	if does != did {
		a.settle(r, h, Outcome{Serves: serves, Waiting: why})
	}
}

// handle is files, disk, reload and acknowledgement, in this order.
func (a *Agent) handle(ctx context.Context, r *record.Opened, loaded <-chan struct{}) {
	want := r.Wanted(a.cfg.Agent, a.cfg.Labels)
	a.begin(r, want.Revision)
	next := a.insist(ctx, r, want)
	if next == nil {
		return
	}
	a.keep(r, next)
	a.offer(r, want, next)
	select {
	case <-loaded:
	case <-ctx.Done():
		return
	}
	outcome := a.cfg.Apply(ctx, a.beginLoad(next))
	a.mu.Lock()
	a.loading, a.unsure = false, ctx.Err() != nil
	a.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	applied := a.settle(r, next, outcome)
	if applied && r.State == record.Prepare {
		a.prepare(ctx, r)
	}
}

// begin notes what is asked for now.
func (a *Agent) begin(r *record.Opened, wanted string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = standing{epoch: r.Epoch, wanted: wanted, state: record.Waiting, err: "it is being loaded", since: time.Now()}
}

// insist makes a release, and tries again as long as only the network is in the way. It is nil if the release is refused,
// or ctx has ended.
func (a *Agent) insist(ctx context.Context, r *record.Opened, want record.Release) *held {
	for n := 0; ; n++ {
		h, err := a.obtain(ctx, r, want)
		if err == nil {
			a.hold(h)
			return h
		}
		if ctx.Err() != nil {
			return nil
		}
		err = fmt.Errorf("the release %s: %w", want.Revision, err)
		var refused *refusal
		if errors.As(err, &refused) && (refused.code != record.CodeMissing || n >= missingTries) {
			a.keepFloor(r)
			a.refuse(r, want.Revision, refused.code, err)
			return nil
		}
		a.mu.Lock()
		a.looked, a.lookErr = r.Epoch, err
		a.done.err, a.ackDue = err.Error(), true
		a.signal()
		a.mu.Unlock()
		if !pause(ctx, a.delay(n+1)) {
			return nil
		}
	}
}

// missingTries is how often what is missing is looked for again: a replica may not have it yet.
const missingTries = 3

// refuse notes that what a record asks for cannot serve.
func (a *Agent) refuse(r *record.Opened, revision string, code record.Code, err error) {
	a.mu.Lock()
	a.looked, a.lookErr = r.Epoch, err
	a.done = standing{epoch: r.Epoch, wanted: a.done.wanted, state: record.Refused, code: code, err: err.Error(), since: time.Now()}
	a.counted.records[resultOf(code)]++
	a.ackDue = true
	e := a.event(EventRefused, r)
	a.signal()
	a.mu.Unlock()
	e.Revision, e.Code, e.Err = revision, code, err.Error()
	a.cfg.Tell(e)
}

func resultOf(code record.Code) string {
	if code == record.CodePolicy {
		return resultRefused
	}
	return string(code)
}

// event is what a record says of itself. a.mu is held.
func (a *Agent) event(kind EventKind, r *record.Opened) Event {
	e := Event{Kind: kind, Epoch: r.Epoch, Revision: a.done.wanted, Serves: a.serves, By: r.Record.By, Message: r.Message}
	for _, s := range r.By {
		e.Signers = append(e.Signers, s.Name)
	}
	return e
}

// offer makes a release what FS returns.
func (a *Agent) offer(r *record.Opened, want record.Release, h *held) {
	a.mu.Lock()
	defer a.mu.Unlock()
	back := want.Revision == r.Base.Revision && a.serves == r.Target.Revision
	a.offered, a.looked, a.lookErr = &Offer{h.tree, want.Gone, back}, r.Epoch, nil
	a.signal()
}

// beginLoad says how what serves becomes a release. Where it is not certain what serves, every file is read.
func (a *Agent) beginLoad(next *held) watcher.Change {
	a.mu.Lock()
	serves, unsure := a.serves, a.unsure
	a.loading = true
	a.mu.Unlock()
	if from := a.find(serves); from != nil && !unsure {
		return watcher.Change{Paths: next.set.Since(from.set).Paths(), At: time.Now()}
	}
	return watcher.Change{Rescan: true, Reason: "the source has another release", At: time.Now()}
}

// settle notes what came of offering a release, and reports whether it serves.
func (a *Agent) settle(r *record.Opened, h *held, o Outcome) bool {
	a.mu.Lock()
	before := a.before
	a.serves, a.before, a.moved = o.Serves, o.Serves, false
	a.mu.Unlock()
	switch {
	case o.Serves == h.revision:
		a.promote(h)
	case o.Err != nil:
		code := o.Code
		if code == "" {
			code = record.CodePolicy
		}
		a.refuse(r, h.revision, code, o.Err)
		return false
	}
	a.mu.Lock()
	d := &a.done
	d.since, d.code, d.err = time.Now(), "", ""
	if o.Serves != h.revision {
		if d.state, d.err = record.Waiting, o.Waiting; d.err == "" {
			d.err = "it does not serve, and nothing was said about it"
		}
		a.ackDue = true
		a.signal()
		a.mu.Unlock()
		return false
	}
	d.state = record.Applied
	result := resultApplied
	if before == o.Serves {
		result = resultUnchanged
	}
	a.counted.records[result]++
	a.ackDue = a.ackDue || r.State != record.Prepare
	e := a.event(EventApplied, r)
	a.signal()
	a.mu.Unlock()
	if e.Before = before; result == resultApplied {
		a.cfg.Tell(e)
	}
	return true
}

// prepare loads and checks what a record may ask for next.
func (a *Agent) prepare(ctx context.Context, r *record.Opened) {
	h := a.insist(ctx, r, r.Target)
	if h == nil {
		return
	}
	code, err := a.cfg.Check(ctx, Offer{Tree: h.tree, Gone: r.Target.Gone})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.refuse(r, h.revision, code, err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done.state, a.done.since, a.done.code, a.done.err, a.ackDue = record.Ready, time.Now(), "", "", true
	a.signal()
}

// obtain makes a release of what is at hand, or of what is fetched.
func (a *Agent) obtain(ctx context.Context, r *record.Opened, want record.Release) (*held, error) {
	if h := a.find(want.Revision); h != nil {
		return h, nil
	}
	if err := a.fits(want); err != nil {
		return nil, &refusal{record.CodeLimits, err}
	}
	var errs []error
	if base := a.find(r.Base.Revision); len(r.Delta) > 0 && want.Revision == r.Target.Revision && base != nil {
		h, err := a.unpack(base, r.Delta, want.Revision)
		if err == nil {
			return h, nil
		}
		errs = append(errs, fmt.Errorf("the delta of the record: %w", err))
	}
	h, err := a.alongChain(ctx, r, want.Revision)
	if h != nil || ctx.Err() != nil {
		return h, err
	}
	if err != nil {
		errs = append(errs, err)
	}
	h, err = a.snapshot(ctx, r, want)
	if err == nil {
		return h, nil
	}
	if len(errs) > 0 { // the last one decides what is done about it
		err = fmt.Errorf("%w; before: %s", err, errors.Join(errs...).Error())
	}
	return nil, err
}

// fits refuses what is too large before it is fetched.
func (a *Agent) fits(want record.Release) error {
	limits := a.cfg.Limits.WithDefaults()
	most := int(limits.Bytes/record.ChunkSize) + 2
	switch {
	case want.Files > limits.Files:
		return fmt.Errorf("%d files, and at most %d: %w", want.Files, limits.Files, delta.ErrLimits)
	case want.Bytes > limits.Bytes:
		return fmt.Errorf("%d bytes, and at most %d: %w", want.Bytes, limits.Bytes, delta.ErrLimits)
	case want.Chunks < 1 || want.Chunks > most:
		return fmt.Errorf("%d parts of a snapshot: 1 to %d were expected: %w", want.Chunks, most, delta.ErrLimits)
	}
	return nil
}

// alongChain fetches the deltas that lead from a release at hand to another. It is nil without an error if none do.
func (a *Agent) alongChain(ctx context.Context, r *record.Opened, revision string) (*held, error) {
	chain := append([]string{r.Target.Revision}, r.Chain...)
	for len(chain) > 0 && chain[0] != revision {
		chain = chain[1:]
	}
	var h *held
	steps := 0
	for i := 1; i < len(chain) && i <= record.MaxChain && h == nil; i++ {
		h, steps = a.find(chain[i]), i
	}
	for h != nil && steps > 0 {
		to := chain[steps-1]
		packed, err := a.wire.get(ctx, record.Objects, record.DeltaSubject(to, h.revision))
		if err != nil {
			return nil, fmt.Errorf("the delta to %s: %w", to, err)
		}
		a.count(a.counted.bytes, bytesDelta, len(packed))
		if h, err = a.unpack(h, packed, to); err != nil {
			return nil, fmt.Errorf("the delta to %s: %w", to, err)
		}
		steps--
	}
	return h, nil
}

// snapshot fetches a whole release, after a random wait: many may need one.
func (a *Agent) snapshot(ctx context.Context, r *record.Opened, want record.Release) (*held, error) {
	const agentsPerSecond = 2000
	if r.Agents > 1 && !pause(ctx, rand.N(time.Duration(min(r.Agents, maxAgents))*time.Second/agentsPerSecond+1)) {
		return nil, ctx.Err()
	}
	var packed []byte
	for n := range want.Chunks {
		chunk, err := a.wire.get(ctx, record.Objects, record.SnapshotSubject(want.Revision, n))
		if errors.Is(err, errNotFound) {
			return nil, &refusal{record.CodeMissing, fmt.Errorf("part %d of %d of its snapshot is not in the source", n+1, want.Chunks)}
		}
		if err != nil {
			return nil, fmt.Errorf("its snapshot: %w", err)
		}
		if len(chunk) > record.ChunkSize {
			return nil, &refusal{record.CodeFormat, fmt.Errorf("part %d of its snapshot has %d bytes, and at most %d are allowed", n+1, len(chunk), record.ChunkSize)}
		}
		a.count(a.counted.bytes, bytesSnapshot, len(chunk))
		packed = append(packed, chunk...)
	}
	h, err := a.unpack(nil, packed, want.Revision)
	if err != nil {
		return nil, fmt.Errorf("its snapshot: %w", err)
	}
	return h, nil
}

// maxAgents bounds the random wait, whatever a record says: it is half a minute.
const maxAgents = 60_000

// pause reports whether d went by before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
