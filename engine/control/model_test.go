package control_test

import (
	"cmp"
	"slices"
	"time"

	"defenseclaw/engine/control"
)

// model is what the documents promise, in the words of docs/explanation/safety.md: versions are numbers, 0 is broken files or nothing.
type model struct {
	settings
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

	held     heldModel
	approved []int // the newest first

	broken time.Time // since when the files that are followed are; zero: they are not
}

// settings are those of a process.
type settings struct {
	hold     bool
	findings bool // a review holds version 3 and refuses version 4
	confirm  time.Duration
	stale    time.Duration
}

func (s settings) guarded() bool { return s.hold || s.findings }
func (s settings) keeps() bool   { return s.guarded() || s.confirm > 0 }

type heldModel struct {
	candidate, base int // 0: nothing is held
	rejected        bool
	confirm         time.Duration
}

func (m *model) mode() control.Mode {
	switch {
	case m.base != 0:
		return control.ModeConfirming
	case m.pin != 0:
		return control.ModePinned
	case m.held.candidate != 0:
		return control.ModeHeld
	default:
		return control.ModeFollow
	}
}

func (m *model) expired() bool {
	return m.stale > 0 && !m.broken.IsZero() && time.Since(m.broken) >= m.stale
}

// serve is where the pointer moves.
func (m *model) serve(n int) {
	m.approve(n)
	if n == m.serving {
		return
	}
	m.former, m.since = m.serving, time.Now()
	m.serving = n
	if len(m.served) == 0 || m.served[len(m.served)-1] != n {
		m.served = append(m.served, n)
	}
}

func (m *model) approve(n int) { m.approved = append([]int{n}, leaving(m.approved, n)...) }

func leaving(list []int, drop ...int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(n int) bool { return slices.Contains(drop, n) })
}

// change has a candidate serve that has to be confirmed within a time; 0: it need not be.
func (m *model) change(to int, confirm time.Duration) {
	from := m.serving
	m.serve(to)
	m.held = heldModel{}
	switch {
	case m.base == to:
		m.base, m.waiting = 0, 0
	case m.base != 0: // the deadline does not move
		m.waiting = to
	case confirm > 0 && from != 0:
		m.base, m.waiting, m.deadline = from, to, time.Now().Add(confirm)
	}
}

// found is what the files hold that a review does not refuse; 0: nothing.
func (m *model) found() int {
	if m.findings && m.disk == 4 && m.disk != m.serving {
		return 0
	}
	return m.disk
}

// look is what a look at the files leads to. asked: a caller wants it, who may want a change confirmed within a time.
func (m *model) look(asked bool, confirm time.Duration) {
	disk := m.found()
	defer m.weigh(disk)
	if m.pin != 0 {
		switch {
		case disk == m.pin && !m.differed:
			return
		case disk == m.pin, disk != 0 && m.skip && !slices.Contains(m.refused, disk):
			if disk == m.pin {
				m.approve(disk)
			}
			m.unpin()
		default:
			m.differed = true
			return
		}
	}
	first := m.serving == 0 && (len(m.approved) == 0 || slices.Contains(m.approved, disk)) // that there is, or admitted before
	switch {
	case disk == 0 || disk == m.serving:
		m.held = heldModel{}
	case (m.hold || m.findings && disk == 3) && !first:
		offered := asked && m.held.rejected
		if m.held.candidate == disk && m.held.base == m.serving && !offered {
			if confirm > 0 {
				m.held.confirm = confirm
			}
			return
		}
		m.held = heldModel{disk, m.serving, false, cmp.Or(confirm, m.confirm)}
	default:
		m.change(disk, cmp.Or(confirm, m.confirm))
	}
}

// weigh notes whether the files that are followed are broken.
func (m *model) weigh(disk int) {
	switch {
	case disk != 0 || m.pin != 0:
		m.broken = time.Time{}
	case m.broken.IsZero():
		m.broken = time.Now()
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
	m.refused = leaving(m.refused, to, from)
	if from != to {
		m.refused = append(m.refused, from)
	}
	m.pin, m.skip, m.differed, m.base, m.waiting, m.held = to, skip, true, 0, 0, heldModel{}
	m.approved = leaving(m.approved, from)
	m.serve(to)
	if confirm > 0 && from != to {
		m.base, m.waiting, m.deadline = from, to, time.Now().Add(confirm)
	}
	m.broken = time.Time{}
}

func (m *model) pinServing() {
	m.differed = m.pin != 0 && m.differed || m.held.candidate != 0
	m.pin, m.skip, m.held = m.serving, false, heldModel{}
	m.approve(m.serving)
	m.broken = time.Time{}
}

// pass lets time pass.
func (m *model) pass(now time.Time) {
	if m.base == 0 || now.Before(m.deadline) {
		return
	}
	candidate, base := m.waiting, m.base
	m.refused = append(leaving(m.refused, base, candidate), candidate)
	m.pin, m.skip, m.differed, m.held = base, false, true, heldModel{}
	m.base, m.waiting = 0, 0
	m.approved = leaving(m.approved, candidate)
	m.serve(base)
	m.since = m.deadline
	m.broken = time.Time{}
}

// restart is a start with these orders, and perhaps with other settings.
func (m *model) restart(now settings) {
	if now.keeps() && !m.keeps() && len(m.served) > 0 {
		m.approve(m.served[len(m.served)-1])
	}
	if m.settings = now; now.stale == 0 {
		m.broken = time.Time{}
	}
	m.former = 0
	switch {
	case m.base != 0 && !time.Now().Before(m.deadline):
		m.pass(time.Now())
	case m.pin != 0:
		m.serve(m.pin)
	case m.keeps() && len(m.approved) > 0:
		m.serve(m.approved[0])
	default:
		if m.serving = 0; !m.guarded() {
			m.held = heldModel{}
		}
		if m.look(false, 0); m.serving == 0 && len(m.served) > 0 {
			m.serving = m.served[len(m.served)-1]
		}
		m.former, m.since = 0, time.Now()
		return
	}
	m.former, m.since = 0, time.Now()
	m.look(false, 0)
}
