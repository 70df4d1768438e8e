package control

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

// Config says where a Governor keeps its record and whom it tells.
type Config struct {
	Path    string         // of the record. Required.
	History *history.Store // what served before. Required.

	// Noted waits until the history tells of all that has served; nil: it always does.
	Noted func(context.Context) error

	// Hold has every change of the files wait for an approval.
	Hold bool
	// Confirm has every change of the files go back unless it is confirmed within that time; 0: none has to be. A caller's
	// own time goes before it.
	Confirm time.Duration
	// MaxStale is for how long what serves may decide while the files that are followed are broken or missing; 0: for ever.
	// See [Governor.Expired].
	MaxStale time.Duration
	// Reviewed has nothing serve but what [engine.Config].Review let pass, and what was admitted before. What the verdict
	// holds waits for an approval.
	Reviewed bool
	// Strict keeps everything from serving until [Governor.Resume] where the record is damaged. Without it, the files
	// are followed then.
	Strict bool
	// Actor names who changed the files, where the trigger does not; nil, or empty: the kind of the trigger stands for it. It
	// is asked while nothing else can be ordered.
	Actor func(engine.Proposal) string
	// Tell is told of each change after it has happened, of one at a time. Its error means that the change is not on
	// record. Nil: nothing is told.
	Tell func(context.Context, Change) error
	// Warn is told what an operator should see in a log. Nil: nothing is told.
	Warn func(message string, err error)
}

// Governor applies a [Record] to an engine. Safe for concurrent use.
type Governor struct {
	cfg    Config
	engine *engine.Engine // set by Attach
	wake   chan struct{}  // of capacity one: there is something for Run

	expired atomic.Bool // written with mu held

	writing sync.Mutex // held while the file is written, before mu
	telling sync.Mutex // held while changes are told, before mu

	mu     sync.Mutex // guards the fields below
	now    Record
	held   *engine.Generation // of now.Held; nil when it was not loaded in this process
	base   *engine.Generation // of now.Confirming; the same
	until  time.Time          // of now.Confirming, by the clock that nobody sets
	disk   Disk
	unsaid []Change // for Run to tell

	expires time.Time // what serves, while the files are broken; by the clock that nobody sets
	counted *Broken   // what expires was counted from
	kept    string    // the way back that Run has put on disk last
	dirty   bool      // for Run to write
	failed  error     // of the last write
}

// Disk is what the files were found to hold last.
type Disk struct {
	State    DiskState
	Revision string // empty when they are broken
	Error    string // why they are
	At       time.Time
}

// DiskState is how the files relate to what serves.
type DiskState string

// The states.
const (
	DiskUnknown DiskState = ""        // they were not looked at yet
	DiskSame    DiskState = "same"    // they hold what serves
	DiskDiffers DiskState = "differs" // they hold something else that is sound
	DiskBroken  DiskState = "broken"  // nothing that is sound
)

// Status is one moment of a Governor.
type Status struct {
	Record
	Disk  Disk
	Stale *Staleness // nil unless Config.MaxStale counts
	Error string     // why the record is not on disk; empty when it is
}

// Open reads the record. A damaged one is put aside.
func Open(cfg Config) (*Governor, error) {
	if cfg.Path == "" || cfg.History == nil {
		return nil, errors.New("control: Config.Path and Config.History are required")
	}
	g := &Governor{cfg: cfg, wake: make(chan struct{}, 1)}
	was, err := read(cfg.Path)
	if err != nil {
		g.now, g.dirty = g.afterDamage(err), true
		return g, nil
	}
	g.now = was.Record
	if cfg.MaxStale <= 0 && g.now.Broken != nil { // nobody looks how long it has been
		g.now.Broken, g.dirty = nil, true
	}
	if g.keepsApproved() && !was.Keeps {
		g.now = g.now.approve(g.lastServed())
	}
	return g, nil
}

// lastServed is the revision that served last in an earlier process that let every sound change serve: it is what the
// files are a change of.
func (g *Governor) lastServed() string {
	all, err := g.pasts()
	if err != nil || len(all) == 0 {
		return ""
	}
	return all[0].Revision
}

func (g *Governor) afterDamage(damage error) Record {
	aside, err := putAside(g.cfg.Path, time.Now())
	if err != nil {
		aside = g.cfg.Path
	}
	message := "the record of control is damaged, and is now " + aside
	if !g.cfg.Strict {
		g.warn(message+"; the files are followed, whatever it said", damage)
		return Record{}
	}
	g.warn(message+"; no policy serves until policy resume", damage)
	reason := fmt.Sprintf("%s: %s", message, damage)
	return Record{Pinned: &Pin{}}.by(Order{Actor: "start", Reason: reason}, time.Now())
}

func (g *Governor) warn(message string, err error) {
	if g.cfg.Warn != nil {
		g.cfg.Warn(message, err)
	}
}

// Candidate is what waits for an approval, under its digest; nil when nothing does. Safe for concurrent use.
func (g *Governor) Candidate() (held *engine.Generation, digest string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil || g.now.Held == nil {
		return nil, ""
	}
	return g.held, g.now.Held.Digest
}

// Attach names the engine that asks [Governor.Govern]. It comes before everything else.
func (g *Governor) Attach(e *engine.Engine) { g.engine = e }

// Status is what is ordered now, and what the files hold.
func (g *Governor) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Status{Record: g.now, Disk: g.disk, Stale: g.staleness(time.Now())}
	if g.failed != nil {
		s.Error = g.failed.Error()
	}
	return s
}

// Protected are the revisions that the history must not sweep: what is pinned, the way back, and what the next start
// begins with.
func (g *Governor) Protected() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var revisions []string
	if pin := g.now.Pinned; pin != nil {
		revisions = append(revisions, pin.Revision)
	}
	if w := g.now.Confirming; w != nil {
		revisions = append(revisions, w.Base, w.Candidate)
	}
	if h := g.now.Held; h != nil {
		revisions = append(revisions, h.Base)
	}
	if g.keepsApproved() && len(g.now.Approved) > 0 {
		revisions = append(revisions, g.now.Approved[0])
	}
	return revisions
}

// Govern is for [engine.Config]: whether what an attempt came to may serve.
func (g *Governor) Govern(p engine.Proposal) (serve bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := look{
		serving: revisionOf(p.Serving), candidate: revisionOf(p.Candidate), by: orderOf(p.Trigger),
		override: p.Trigger.Override != "", startup: p.Trigger.Kind == engine.TriggerStartup, guards: p.Verdict.Guards,
		hold: g.cfg.Hold || p.Verdict.Hold, unseen: g.cfg.Reviewed && !p.Verdict.Reviewed,
		asked: p.Trigger.Kind == engine.TriggerAPI || p.Trigger.Kind == engine.TriggerSignal, confirm: p.Trigger.Confirm, always: g.cfg.Confirm,
	}
	now := time.Now()
	g.lookedAt(p, l, now)
	before := g.now
	next, out := before.take(l, now)
	if l.confirm > 0 && l.candidate != "" && l.candidate == l.serving {
		next, out = g.awaitLast(next, out, l, now)
	} else if before.Confirming == nil && next.Confirming != nil {
		g.base, g.until = p.Serving, now.Add(next.Confirming.Left)
	}
	next, l.by = g.named(next, out, p, l.by)
	g.now, g.held = next, nil
	if next.Held != nil {
		g.held = p.Candidate
	}
	to := l.serving
	if out.serve {
		to, g.disk.State = l.candidate, DiskSame
	}
	for _, t := range out.said {
		g.say(t, l.by, l.serving, to, now)
	}
	g.weighFiles(now, l.by)
	if len(out.said) > 0 || differs(before, next) || g.keepsApproved() && out.serve {
		g.dirty = true
		g.wakeUp()
	}
	return out.serve
}

// named puts the name of who changed the files into what is said about them.
func (g *Governor) named(next Record, out outcome, p engine.Proposal, by Order) (Record, Order) {
	if len(out.said) == 0 || p.Trigger.Actor != "" || g.cfg.Actor == nil {
		return next, by
	}
	if name := g.cfg.Actor(p); name != "" {
		if next.Actor == by.Actor {
			next.Actor = name
		}
		by.Actor = name
	}
	return next, by
}

// keepsApproved reports whether the next start begins with what was approved last, and not with what the files hold.
func (g *Governor) keepsApproved() bool { return g.guarded() || g.cfg.Strict || g.cfg.Confirm > 0 }

// differs reports what has to be on disk although nothing was said.
func differs(before, next Record) bool {
	return before.Held != next.Held || before.Confirming != next.Confirming ||
		next.Pinned != nil && before.Pinned != nil && before.Pinned.Differed != next.Pinned.Differed
}

// Takes reports whether the orders let a candidate serve that a review lets pass and nobody has to approve. It changes
// nothing. An order may be given in the next moment.
func (g *Governor) Takes(serving, candidate string) bool {
	_, out := g.record().take(look{serving: serving, candidate: candidate, asked: true}, time.Now())
	return out.serve || serving == candidate
}

// Admits reports whether a candidate serves without a review at a start: it was admitted before, or it is the first policy
// that there is. serving is empty where nothing serves yet.
func (g *Governor) Admits(serving, candidate string) bool {
	return g.record().mayServeUnseen(look{serving: serving, candidate: candidate, startup: true})
}

func (g *Governor) record() Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

// guarded reports whether a change has to pass somebody before it serves.
func (g *Governor) guarded() bool { return g.cfg.Hold || g.cfg.Reviewed }

func (g *Governor) lookedAt(p engine.Proposal, l look, now time.Time) {
	g.disk = Disk{State: DiskDiffers, Revision: l.candidate, At: now.UTC().Round(0)}
	switch {
	case p.Refused != nil:
		g.disk.State, g.disk.Error = DiskBroken, p.Refused.Error()
	case l.candidate == l.serving:
		g.disk.State = DiskSame
	}
}

// say notes a change for Run to tell. g.mu is held.
func (g *Governor) say(t Transition, by Order, from, to string, now time.Time) {
	g.unsaid = append(g.unsaid, g.changed(t, by, from, to, now))
}

// changed describes what has just happened to g.now. g.mu is held.
func (g *Governor) changed(t Transition, by Order, from, to string, now time.Time) Change {
	c := Change{Transition: t, Time: now.UTC().Round(0), By: by, From: from, To: to, After: g.now}
	if g.now.Held != nil {
		c.Digest = g.now.Held.Digest
	}
	if w := g.now.Confirming; w != nil && t == Confirming {
		c.Deadline = w.Deadline.UTC().Round(0)
	}
	return c
}

func (g *Governor) wakeUp() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// lastChange is how old the change may be that [Governor.awaitLast] takes for the one that its caller means.
const lastChange = 10 * time.Minute

// awaitLast has the change confirmed that the watch was quicker to serve than its author to ask for the reload: the way
// back is what served before it.
func (g *Governor) awaitLast(next Record, out outcome, l look, now time.Time) (Record, outcome) {
	formers := g.engine.Formers()
	if next.Confirming != nil || len(formers) == 0 || now.Sub(formers[0].Until) > lastChange {
		return next, out
	}
	next = next.await(l.by, now, formers[0].Revision, l.serving, l.confirm)
	if next.Confirming != nil {
		g.base, g.until = formers[0].Generation, now.Add(l.confirm)
		out.said = append(out.said, Confirming)
	}
	return next, out
}

func revisionOf(g *engine.Generation) string {
	if g == nil {
		return ""
	}
	return g.Revision()
}

// orderOf names who asked for a reload.
func orderOf(t engine.Trigger) Order {
	o := Order{Actor: t.Actor, Client: t.Client, RequestID: t.RequestID, Reason: t.Override}
	if o.Actor == "" {
		o.Actor = string(t.Kind)
	}
	return o
}
