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
	by := t.p.generation.Revision()
	for reason == "" {
		var now *engine.Generation
		if now = r.add(t, rec, by); now == nil {
			return
		}
		by = now.Revision()
		rec, reason, err = r.cfg.Clean(ctx, now, rec)
	}
	r.drop(reason, 1)
	if err != nil {
		r.cfg.Logger.Debug("a decision is not recorded", zap.String("reason", reason), zap.Error(err))
	}
}

// add puts a record into the store that is clean by the masks of a revision. It returns the generation that serves, if the record
// has to be clean by its masks as well: then it is not added.
func (r *Recorder) add(t *taken, rec records.Record, by string) (serves *engine.Generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.current()
	if now != nil && now.Revision() != by && r.masks(now) {
		return now
	}
	switch {
	case t.epoch != r.epoch.Load(): // all was cleared since
	case !r.store.Add(rec):
		r.drop(DroppedTooLarge, 1)
	default:
		if now != nil && now.Revision() != r.cleaned {
			r.clean = false
			r.others++
		}
		if r.file != nil {
			r.file.unsaved++
		}
		r.holds()
	}
	return nil
}

// record makes the record, clean by the masks of the generation that decided.
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
	return r.cfg.Clean(ctx, g, rec)
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
	r.clean, r.read = false, true
	r.others++
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
