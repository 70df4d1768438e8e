package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review/records"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"
)

// Run keeps what was taken until ctx ends. With a directory, it reads the file there first, and writes it every five minutes
// and at the end. Call it once. It returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	if r.file != nil {
		r.load()
	}
	save := time.NewTicker(r.cfg.SaveEvery)
	defer save.Stop()
	pace := newPace(r.cfg.Share)
	for {
		select {
		case t := <-r.queue:
			begun := time.Now()
			r.keep(ctx, t)
			if pace.wait(ctx, time.Since(begun)) {
				continue
			}
		case <-save.C:
			r.save(ctx)
			continue
		case <-ctx.Done():
		}
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		r.drain(ending)
		r.save(context.WithoutCancel(ctx))
		return nil
	}
}

// drain keeps what waits until ctx ends, and drops the rest.
func (r *Recorder) drain(ctx context.Context) {
	for {
		select {
		case t := <-r.queue:
			if ctx.Err() != nil {
				r.queued.Add(-t.size)
				r.drop(DroppedShutdown, 1)
				continue
			}
			r.keep(ctx, t)
		default:
			return
		}
	}
}

// pace keeps the work of a goroutine to a share of the time. What was not used is saved up to a limit.
type pace struct {
	share  float64
	credit time.Duration
	since  time.Time
}

func newPace(share float64) *pace { return &pace{share, maxCredit, time.Now()} }

// wait waits until another piece of work is due after one that took some time. It reports false if ctx ended.
func (p *pace) wait(ctx context.Context, took time.Duration) bool {
	now := time.Now()
	p.credit = min(p.credit+time.Duration(float64(now.Sub(p.since))*p.share), maxCredit) - took
	p.since = now
	if p.credit > 0 {
		runtime.Gosched()
		return ctx.Err() == nil
	}
	timer := time.NewTimer(time.Duration(float64(-p.credit) / p.share))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keep makes a record of what was taken, and puts it into the store.
func (r *Recorder) keep(ctx context.Context, t *taken) {
	defer r.queued.Add(-t.size)
	if !t.p.generation.CouldDefine(t.p.path) {
		r.drop(DroppedUndefined, 1)
		return
	}
	rec, reason, err := r.record(ctx, t)
	if reason != "" {
		r.drop(reason, 1)
		if err != nil {
			r.cfg.Logger.Debug("a decision is not recorded", zap.String("reason", reason), zap.Error(err))
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.epoch != r.epoch.Load() { // all was cleared since
		return
	}
	if !r.store.Add(rec) {
		r.drop(DroppedTooLarge, 1)
		return
	}
	if r.file != nil {
		r.file.unsaved++
	}
	r.holds()
}

// record makes the record, clean by the masks of the generation that decided, and of the one that serves now.
func (r *Recorder) record(ctx context.Context, t *taken) (rec records.Record, reason string, err error) {
	g := t.p.generation
	rec = records.Record{
		DecisionID: t.p.id, Path: pathText(t.p.path), Revision: g.Revision(), Time: t.p.at.UTC(), Strict: !t.p.lenient, Weight: t.weight,
	}
	if rec.DecisionID == "" {
		rec.DecisionID = decision.ID(g)
	}
	input := t.p.input.Value()
	if input != nil {
		if rec.Input, err = engine.InputJSON(input); err != nil {
			return rec, DroppedEncoding, err
		}
	}
	if t.failed != nil {
		rec.Error = errorText(t.failed)
	} else if rec.Result, err = resultJSON(t.result); err != nil {
		return rec, DroppedEncoding, err
	}
	rec.Shape = records.ShapeOf(rec.Input)
	if !r.cfg.Unobserved {
		r.observe(ctx, t, &rec)
	}
	if rec, reason, err = r.cfg.Clean(ctx, g, rec); reason != "" || err != nil {
		return rec, reason, err
	}
	if now := r.current(); now != nil && now.Revision() != g.Revision() && r.masks(now) {
		return r.cfg.Clean(ctx, now, rec)
	}
	return rec, "", nil
}

func (r *Recorder) current() *engine.Generation {
	if r.cfg.Current == nil {
		return nil
	}
	return r.cfg.Current()
}

func (r *Recorder) masks(g *engine.Generation) bool { return r.cfg.Masks == nil || r.cfg.Masks(g) }

// errorText is the text of an error as in an event: with its code.
func errorText(err error) string {
	text, failed := json.Marshal(decision.ErrorObject(err))
	var object struct{ Code, Message string }
	if failed != nil || json.Unmarshal(text, &object) != nil || object.Code == "" {
		return err.Error()
	}
	return object.Code + ": " + object.Message
}

// resultJSON is nil for no result.
func resultJSON(result any) (json.RawMessage, error) {
	switch result := result.(type) {
	case nil:
		return nil, nil
	case resultText:
		return json.RawMessage(bytes.TrimSpace(result)), nil
	case json.RawMessage:
		return result, nil
	default:
		v, err := ast.InterfaceToValue(result)
		if err != nil {
			return nil, fmt.Errorf("result: %w", err)
		}
		return engine.InputJSON(v)
	}
}

// pathText formats a path as the decision log does.
func pathText(p engine.Path) string {
	parts := make([]string, len(p))
	for i, part := range p {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// Snapshot is what is held, clean by the masks of the generation that serves. Only what Snapshot returns may leave the
// memory. It yields its processor to decisions where it has to clean; an error is ctx's, or of a mask.
func (r *Recorder) Snapshot(ctx context.Context) (records.Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.clean(ctx); err != nil {
		return records.Snapshot{}, err
	}
	return r.store.Snapshot(), nil
}

// Held is what is held, in no order, as clean as what Snapshot returns: it may leave the memory. No record is copied.
func (r *Recorder) Held(ctx context.Context) ([]records.Held, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.clean(ctx); err != nil {
		return nil, err
	}
	return r.store.Held(), nil
}

// Counts is [Recorder.Snapshot] without the records.
func (r *Recorder) Counts() records.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store.Counts()
}

// cleaningShare is the share of a processor at which what is held is cleaned once more.
const cleaningShare = 0.25

// clean cleans what is held by the masks of the generation that serves, once for each. What cannot be cleaned is forgotten.
func (r *Recorder) clean(ctx context.Context) error {
	g := r.current()
	if g == nil || g.Revision() == r.cleaned {
		return nil
	}
	if r.masks(g) || r.read {
		pace := newPace(cleaningShare)
		r.store.Update(func(rec records.Record) (records.Record, bool) {
			if ctx.Err() != nil || rec.Revision == g.Revision() && !r.read {
				return rec, true
			}
			begun := time.Now()
			clean, reason, err := r.cfg.Clean(ctx, g, rec)
			pace.wait(ctx, time.Since(begun))
			if ctx.Err() != nil {
				return rec, true // not clean, and it does not leave
			}
			if reason != "" {
				r.drop(reason, 1)
			}
			return clean, reason == "" && err == nil
		})
		r.holds()
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clean the records: %w", err)
	}
	r.cleaned, r.read = g.Revision(), false
	return nil
}

// Clear forgets all that is held and waits, and removes the files.
func (r *Recorder) Clear() error {
	r.epoch.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.Store(newTally())
	r.store = records.NewStore(r.cfg.Bounds, nil)
	r.holds()
	r.damaged("")
	if r.file == nil {
		return nil
	}
	r.file.unsaved = 0
	return r.file.remove()
}

func (r *Recorder) damaged(why string) {
	r.health.mu.Lock()
	r.health.now.Damaged = why
	r.health.mu.Unlock()
}

// load reads the file. One that cannot be read is put aside: it is never written over.
func (r *Recorder) load() {
	all, err := r.file.read()
	if err != nil {
		aside, failed := r.file.putAside()
		r.cfg.Logger.Error("the recorded decisions are damaged; the file is put aside and recording begins anew",
			zap.String("file", r.file.path), zap.String("aside", aside), zap.Error(errors.Join(err, failed)))
		r.damaged(fmt.Sprintf("%v; it is put aside as %s", err, aside))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range all {
		r.store.Add(rec)
	}
	r.cleaned, r.read = "", true
	r.holds()
}

// save writes the file, if something is new. Decisions never wait for it.
func (r *Recorder) save(ctx context.Context) {
	if r.file == nil {
		return
	}
	r.mu.Lock()
	n, epoch := r.file.unsaved, r.epoch.Load()
	r.mu.Unlock()
	if n == 0 {
		return
	}
	all, err := r.Snapshot(ctx)
	if err == nil {
		err = r.file.write(all.Records, func() bool { return epoch == r.epoch.Load() })
	}
	r.mu.Lock()
	if epoch == r.epoch.Load() && err == nil {
		r.file.unsaved -= n
	}
	r.mu.Unlock()
	if err != nil {
		r.drop(DroppedDisk, n)
		r.cfg.Logger.Warn("the recorded decisions could not be saved; they are in memory", zap.Error(err))
	}
	r.health.mu.Lock()
	defer r.health.mu.Unlock()
	if r.health.now.Err = err; err == nil {
		r.health.now.SavedAt = time.Now().UTC()
	}
}
