package control_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/control"
)

var (
	sequences = flag.Int("sequences", 40, "how many random sequences the model is compared with")
	mode      = flag.String("mode", "", "follow, hold, findings or confirm: the settings of all processes; empty: any, and other ones after a restart")
	seed      = flag.Uint64("seed", 0, "of the first; 0: a random one")
)

// TestWhatServesIsWhatTheModelSays makes random sequences of edits, orders, kills and restarts, with real files and the
// real engine: what serves and what is ordered are always what the model says, and no file of the user's is written.
// make safety runs 1,000.
func TestWhatServesIsWhatTheModelSays(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64() //nolint:gosec // it is printed, so that the test can be run again
	}
	for i := range uint64(*sequences) { //nolint:gosec // it is positive
		ok := t.Run(fmt.Sprintf("seed=%d", first+i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { compareWithModel(t, rand.New(rand.NewPCG(first+i, 0))) }) //nolint:gosec // as above
		})
		if !ok {
			return
		}
	}
}

// pair is the model and the world that it is compared with.
type pair struct {
	*model
	w   *world
	rnd *rand.Rand
	log []string
}

func compareWithModel(t *testing.T, rnd *rand.Rand) {
	p := &pair{model: &model{disk: 1}, w: newWorld(t), rnd: rnd}
	p.settings = p.anySettings()
	p.log = append(p.log, fmt.Sprintf("start %+v", p.settings))
	p.w.write(text(1))
	p.w.start(p.settings)
	p.serve(1)
	p.former = 0
	for range 12 {
		p.step(t)
		synctest.Wait()
		p.compare(t)
		if t.Failed() {
			break
		}
	}
	p.w.stop()
}

// anySettings are in half of the cases those of a process that lets every sound change serve, for ever.
func (p *pair) anySettings() settings {
	if *mode != "" {
		return settings{hold: *mode == "hold", findings: *mode == "findings", confirm: map[bool]time.Duration{true: time.Hour}[*mode == "confirm"], stale: 2 * time.Hour}
	}
	return settings{
		hold:     p.rnd.IntN(4) == 0,
		findings: p.rnd.IntN(4) == 0,
		confirm:  []time.Duration{0, 0, time.Hour}[p.rnd.IntN(3)],
		stale:    []time.Duration{0, 2 * time.Hour}[p.rnd.IntN(2)],
	}
}

// findings is a review that holds version 3 and refuses version 4.
func findings(_ context.Context, s engine.Step) (engine.Verdict, error) {
	switch string(s.Candidate.Files()[0].Bytes) {
	case text(3):
		return engine.Verdict{Reviewed: true, Hold: true}, nil
	case text(4):
		return engine.Verdict{}, errors.New("it has a finding")
	default:
		return engine.Verdict{Reviewed: true}, nil
	}
}

func (p *pair) pick(of ...string) string { return of[p.rnd.IntN(len(of))] }

// save changes the files; nothing looks at them yet.
func (p *pair) save() {
	p.disk = p.rnd.IntN(5)
	if p.disk == 0 {
		p.w.write(broken)
	} else {
		p.w.write(text(p.disk))
	}
}

func (p *pair) step(t *testing.T) {
	ctx, what := context.Background(), p.pick("edit", "edit", "edit", "reload", "reload --confirm", "hold", "resume", "rollback", "rollback", "rollback --skip",
		"rollback --confirm", "rollback N", "confirm", "wait", "kill", "restart", "kill and edit", "kill and wait", "kill and set", "approve", "approve", "reject")
	p.log = append(p.log, what)
	switch what {
	case "edit":
		p.save()
		p.w.reload(engine.Trigger{Kind: engine.TriggerWatch, Paths: []string{"p.rego"}})
		p.look(false, 0)
	case "reload":
		p.w.reload(engine.Trigger{Kind: engine.TriggerAPI})
		p.look(true, 0)
	case "reload --confirm":
		p.save()
		p.reloadConfirm()
	case "hold":
		if err := p.w.control.Hold(ctx, ann); err != nil {
			t.Fatal(err)
		}
		p.pinServing()
	case "resume":
		if _, err := p.w.control.Resume(ctx, ann); err != nil {
			t.Fatal(err)
		}
		p.w.reload(engine.Trigger{Kind: engine.TriggerAPI})
		p.unpin()
		p.look(true, 0)
	case "confirm":
		err := p.w.control.Confirm(ctx, ann, "")
		if errors.Is(err, control.ErrNothingToConfirm) != (p.base == 0) {
			t.Fatalf("confirm: %v", err)
		}
		if p.base != 0 {
			p.approve(p.waiting)
		}
		p.base, p.waiting = 0, 0
	case "approve", "reject":
		p.judge(t, what)
	case "wait":
		time.Sleep(time.Duration(p.rnd.IntN(90)) * time.Minute)
		p.pass(time.Now())
	case "kill", "restart", "kill and edit", "kill and wait", "kill and set":
		p.end(what)
	default:
		p.rollBack(t, what)
	}
	p.log[len(p.log)-1] += fmt.Sprintf(" (disk %d)", p.disk)
}

// reloadConfirm is a reload that has to be confirmed. Where the watch was quicker, that is the last change, if it is young.
func (p *pair) reloadConfirm() {
	before, former, since := p.serving, p.former, p.since
	p.w.reload(engine.Trigger{Kind: engine.TriggerAPI, Confirm: time.Hour})
	p.look(true, time.Hour)
	if p.disk != before || before == 0 || p.base != 0 || former == 0 || time.Since(since) > 10*time.Minute {
		return
	}
	p.base, p.waiting, p.deadline = former, p.serving, time.Now().Add(time.Hour)
}

// judge approves or rejects what is held.
func (p *pair) judge(t *testing.T, what string) {
	digest := "sha256:00000000"
	if held := p.w.control.Status().Held; held != nil {
		digest = held.Digest
	}
	var err error
	if what == "approve" {
		_, err = p.w.control.Approve(context.Background(), ann, digest)
	} else {
		err = p.w.control.Reject(context.Background(), ann, digest)
	}
	var other *control.OtherError
	switch h := p.held; {
	case h.candidate == 0:
		if !errors.Is(err, control.ErrNothingHeld) {
			t.Fatalf("%s of nothing: %v", what, err)
		}
	case what == "approve" && (h.rejected || h.base != p.serving):
		if !errors.As(err, &other) {
			t.Fatalf("%s of what cannot be approved: %v", what, err)
		}
	case err != nil:
		t.Fatalf("%s: %v", what, err)
	case what == "approve":
		p.change(h.candidate, h.confirm)
	default:
		p.held.rejected = true
	}
}

func (p *pair) rollBack(t *testing.T, what string) {
	to := control.Target{Skip: what == "rollback --skip"}
	n := p.target()
	switch what {
	case "rollback --confirm":
		to.Confirm = time.Hour
	case "rollback N":
		n = p.served[p.rnd.IntN(len(p.served))]
		to.To = revision(t, text(n))
	}
	_, err := p.w.control.Rollback(context.Background(), ann, to)
	if n == 0 {
		if !errors.Is(err, control.ErrNotKept) {
			t.Fatalf("a rollback to nowhere: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("rollback to %d: %v", n, err)
	}
	p.rollback(n, to.Skip, to.Confirm)
}

// end ends the process and starts another one.
func (p *pair) end(what string) {
	if what == "restart" {
		p.w.stop()
	} else {
		p.w.kill()
	}
	switch what {
	case "kill and edit":
		p.save()
	case "kill and wait":
		time.Sleep(time.Duration(p.rnd.IntN(90)) * time.Minute)
	}
	now := p.settings
	if what == "kill and set" {
		now = p.anySettings()
		p.log[len(p.log)-1] += fmt.Sprintf(" %+v", now)
	}
	p.w.start(now)
	p.restart(now)
}

func (p *pair) compare(t *testing.T) {
	t.Helper()
	want := ""
	if p.serving != 0 {
		want = revision(t, text(p.serving))
	}
	now := p.w.control.Status()
	if got := p.w.serving(); got != want {
		t.Errorf("after %q: %s serves; the model says %d, %s; model %+v, control %+v", p.log, got, p.serving, want, *p.model, now)
	}
	if now.Mode() != p.mode() {
		t.Errorf("after %q: the mode is %s; the model says %s: %+v, control %+v", p.log, now.Mode(), p.mode(), *p.model, now)
	}
	if got := p.w.control.Expired(); got != p.expired() {
		t.Errorf("after %q: expired is %t; the model says %t: %+v, control %+v", p.log, got, p.expired(), *p.model, now)
	}
	if now.Error != "" {
		t.Errorf("after %q: %s", p.log, now.Error)
	}
	content := text(p.disk)
	if p.disk == 0 {
		content = broken
	}
	found, err := os.ReadDir(p.w.dir)
	got, readErr := os.ReadFile(filepath.Join(p.w.dir, "p.rego"))
	if err := errors.Join(err, readErr); err != nil || len(found) != 1 || string(got) != content {
		t.Errorf("after %q: the user's files are %v %q %v", p.log, found, got, err)
	}
}
