package control_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/control"
)

var (
	sequences = flag.Int("sequences", 40, "how many random sequences the model is compared with")
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

// model is what the documents promise, in the words of docs/SAFETY.md: versions are numbers, 0 is broken files or nothing.
type model struct {
	disk, serving int
	served        []int // everything that began to serve, the oldest first
	since         time.Time
	former        int // served before it in this process; 0: nothing

	pin      int // 0: none
	refused  []int
	skip     bool
	differed bool

	base, waiting int // 0: nothing waits
	deadline      time.Time
}

func (m *model) mode() control.Mode {
	switch {
	case m.base != 0:
		return control.ModeConfirming
	case m.pin != 0:
		return control.ModePinned
	default:
		return control.ModeFollow
	}
}

func (m *model) serve(n int) {
	if n == m.serving {
		return
	}
	m.former, m.since = m.serving, time.Now()
	m.serving = n
	if len(m.served) == 0 || m.served[len(m.served)-1] != n {
		m.served = append(m.served, n)
	}
}

// look is what a look at the files leads to.
func (m *model) look() {
	if m.pin != 0 {
		switch {
		case m.disk == m.pin && !m.differed:
			return
		case m.disk == m.pin, m.disk != 0 && m.skip && !slices.Contains(m.refused, m.disk):
			m.unpin()
		default:
			m.differed = true
			return
		}
	}
	if m.disk == 0 || m.disk == m.serving {
		return
	}
	m.serve(m.disk)
	switch {
	case m.base == m.disk:
		m.base, m.waiting = 0, 0
	case m.base != 0:
		m.waiting = m.disk
	}
}

func (m *model) unpin() { m.pin, m.refused, m.skip, m.differed = 0, nil, false, false }

// target is where a rollback without an argument goes; 0: nowhere.
func (m *model) target() int {
	if m.base != 0 {
		return m.base
	}
	for _, n := range slices.Backward(m.served) {
		if n != m.serving && !slices.Contains(m.refused, n) {
			return n
		}
	}
	return 0
}

func (m *model) rollback(to int, skip bool, confirm time.Duration) {
	from := m.serving
	m.refused = slices.DeleteFunc(m.refused, func(n int) bool { return n == to || n == from })
	if from != to {
		m.refused = append(m.refused, from)
	}
	m.pin, m.skip, m.differed, m.base, m.waiting = to, skip, true, 0, 0
	m.serve(to)
	if confirm > 0 && from != to {
		m.base, m.waiting, m.deadline = from, to, time.Now().Add(confirm)
	}
}

// pass lets time pass.
func (m *model) pass(now time.Time) {
	if m.base == 0 || now.Before(m.deadline) {
		return
	}
	candidate, base := m.waiting, m.base
	m.refused = slices.DeleteFunc(m.refused, func(n int) bool { return n == base || n == candidate })
	m.pin, m.refused, m.skip, m.differed = base, append(m.refused, candidate), false, true
	m.base, m.waiting = 0, 0
	m.serve(base)
}

// restart is a start with these orders.
func (m *model) restart() {
	m.former = 0
	switch {
	case m.base != 0 && !time.Now().Before(m.deadline):
		m.pass(time.Now())
	case m.pin != 0:
		m.serve(m.pin)
	default:
		m.serving = 0
		if m.look(); m.serving == 0 && len(m.served) > 0 {
			m.serving = m.served[len(m.served)-1]
		}
		m.former, m.since = 0, time.Now()
		return
	}
	m.former, m.since = 0, time.Now()
	m.look()
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
	p.w.write(text(1))
	p.w.start()
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
		"rollback --confirm", "rollback N", "confirm", "wait", "kill", "restart", "kill and edit", "kill and wait")
	p.log = append(p.log, what)
	switch what {
	case "edit":
		p.save()
		p.w.reload(engine.Trigger{Kind: engine.TriggerWatch, Paths: []string{"p.rego"}})
		p.look()
	case "reload":
		p.w.reload(engine.Trigger{Kind: engine.TriggerAPI})
		p.look()
	case "reload --confirm":
		p.save()
		p.reloadConfirm()
	case "hold":
		if err := p.w.control.Hold(ctx, ann); err != nil {
			t.Fatal(err)
		}
		p.pin, p.skip = p.serving, false
	case "resume":
		if _, err := p.w.control.Resume(ctx, ann); err != nil {
			t.Fatal(err)
		}
		p.w.reload(engine.Trigger{Kind: engine.TriggerAPI})
		p.unpin()
		p.look()
	case "confirm":
		err := p.w.control.Confirm(ctx, ann, "")
		if errors.Is(err, control.ErrNothingToConfirm) != (p.base == 0) {
			t.Fatalf("confirm: %v", err)
		}
		p.base, p.waiting = 0, 0
	case "wait":
		time.Sleep(time.Duration(p.rnd.IntN(90)) * time.Minute)
		p.pass(time.Now())
	case "kill", "restart", "kill and edit", "kill and wait":
		p.end(what)
	default:
		p.rollBack(t, what)
	}
	p.log[len(p.log)-1] += fmt.Sprintf(" (disk %d)", p.disk)
}

func (p *pair) reloadConfirm() {
	before, base := p.serving, p.base
	p.w.reload(engine.Trigger{Kind: engine.TriggerAPI, Confirm: time.Hour})
	p.look()
	switch {
	case base != 0 || p.base != 0 || p.disk == 0 || p.disk != p.serving:
		return // a deadline stands, or there is nothing new
	case p.serving != before:
		p.base = before
	case p.former != 0 && time.Since(p.since) <= 10*time.Minute:
		p.base = p.former
	default:
		return
	}
	p.waiting, p.deadline = p.serving, time.Now().Add(time.Hour)
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
	p.w.start()
	p.restart()
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
