package fleet

import (
	"maps"

	"defenseclaw/watcher/fleet/record"
)

// keep writes a release to disk before it is offered, so that one which is acknowledged outlives the process. A disk that
// is full keeps nothing from serving, and is told.
func (a *Agent) keep(r *record.Opened, h *held) {
	if a.wordy(h) {
		if err := a.compact(h); err != nil {
			a.unkept(err)
			return
		}
	}
	a.mu.Lock()
	s := a.state
	s.Channel, s.Floor = a.cfg.Channel, max(s.Floor, r.Epoch)
	k := &kept{Record: record.WithoutDelta(a.message), Revision: h.revision}
	if a.newest != r { // a newer one came: it is kept in its turn
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	for _, p := range h.parts {
		k.Parts = append(k.Parts, p.name)
	}
	if s.Good != nil && s.Good.Revision == h.revision {
		s.Good, s.Next = k, nil // the newer record of what serves
	} else {
		s.Next = k
	}
	a.save(h.parts, s)
	for i, p := range h.parts {
		if _, there := a.disk.has[p.name]; there {
			h.parts[i].packed = nil
		}
	}
}

// keepNow tries again to keep what serves.
func (a *Agent) keepNow(r *record.Opened) {
	a.mu.Lock()
	serves, wanted := a.serves, a.done.wanted
	a.mu.Unlock()
	if h := a.find(wanted); h != nil && serves == wanted {
		a.keep(r, h)
		a.promote(h)
		a.mu.Lock()
		a.ackDue = a.ackDue || a.unkeptErr == ""
		a.signal()
		a.mu.Unlock()
	}
}

// promote makes what was offered what served last.
func (a *Agent) promote(h *held) {
	a.mu.Lock()
	s := a.state
	a.mu.Unlock()
	if s.Next == nil || s.Next.Revision != h.revision {
		return
	}
	s.Good, s.Next = s.Next, nil
	a.save(nil, s)
}

// keepFloor keeps that a record was seen whose release cannot be made.
func (a *Agent) keepFloor(r *record.Opened) {
	a.mu.Lock()
	s := a.state
	a.mu.Unlock()
	s.Channel, s.Floor = a.cfg.Channel, max(s.Floor, r.Epoch)
	a.save(nil, s)
}

// save writes parts and state, and sweeps away what neither the state nor a release at hand needs.
func (a *Agent) save(parts []part, s state) {
	if err := a.disk.write(parts, s); err != nil {
		a.unkept(err)
		return
	}
	needed := map[string]bool{}
	for _, k := range []*kept{s.Good, s.Next} {
		if k != nil {
			for _, name := range k.Parts {
				needed[name] = true
			}
		}
	}
	a.mu.Lock()
	a.state, a.unkeptErr = s, ""
	for _, h := range a.held {
		for _, p := range h.parts {
			needed[p.name] = true
		}
	}
	a.mu.Unlock()
	if !maps.Equal(needed, a.swept) {
		a.disk.sweep(needed)
		a.swept = needed
	}
}

// unkept notes and tells that the disk could not be written.
func (a *Agent) unkept(err error) {
	a.mu.Lock()
	told := a.unkeptErr != ""
	a.unkeptErr = err.Error()
	a.mu.Unlock()
	if !told {
		a.cfg.Tell(Event{Kind: EventUnkept, Err: err.Error()})
	}
}
