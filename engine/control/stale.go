package control

import "time"

// Broken says since when the files that are followed have held nothing that may serve.
type Broken struct {
	Since time.Time     `json:"since"`
	For   time.Duration `json:"for_ns"` // how long that was when the record was written, by a clock that nobody sets
}

// Staleness is how old the policy that serves may become, and has.
type Staleness struct {
	Since   time.Time // when the files broke
	Until   time.Time // when what serves expires
	Expired bool
}

// Expired reports whether the files that are followed have been broken for longer than [Config].MaxStale, so that what
// serves is too old to decide by. It costs one atomic load. Safe for concurrent use.
func (g *Governor) Expired() bool { return g.expired.Load() }

// weighFiles notes that the files broke, or are sound again. What an operator ordered to serve is not stale, whatever the
// files hold. g.mu is held.
func (g *Governor) weighFiles(now time.Time, by Order) {
	if g.cfg.MaxStale <= 0 || g.disk.State == DiskUnknown {
		return
	}
	was := g.now.Broken
	if g.disk.State != DiskBroken || g.now.Pinned != nil {
		if was != nil {
			g.now.Broken, g.dirty = nil, true
			g.wakeUp()
		}
		if g.expired.Swap(false) {
			g.sayNow(Renewed, by, now)
		}
		return
	}
	if was == nil {
		was = &Broken{Since: now.UTC().Round(0)}
		g.now.Broken, g.dirty = was, true
	}
	if g.expires.IsZero() || g.now.Broken != g.counted {
		g.expires, g.counted = now.Add(g.cfg.MaxStale-was.age(now)), was
	}
	g.expireAt(now)
	g.wakeUp()
}

// age is how long the files have been broken: the longer of what was written down and of what the wall clock says, so that
// no restart and no clock that is set back makes it shorter.
func (b Broken) age(now time.Time) time.Duration { return max(b.For, now.Round(0).Sub(b.Since)) }

// expireAt has what serves expire if its time is over. g.mu is held.
func (g *Governor) expireAt(now time.Time) {
	if g.now.Broken == nil || now.Before(g.expires) || g.expired.Swap(true) {
		return
	}
	g.sayNow(Expired, Order{Actor: deadlineActor, Reason: "the files have been broken for longer than " + g.cfg.MaxStale.String()}, now)
}

// sayNow is about what serves now. g.mu is held.
func (g *Governor) sayNow(t Transition, by Order, now time.Time) {
	serving := revisionOf(g.engine.Current())
	g.say(t, by, serving, serving, now)
}

// stale is what is left until what serves expires, and writes down now and then how long the files have been broken.
func (g *Governor) stale(now time.Time) (left time.Duration, waits bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.now.Broken
	if b == nil || g.cfg.MaxStale <= 0 || g.counted != b {
		return 0, false
	}
	g.expireAt(now)
	left = max(0, g.expires.Sub(now))
	if age := g.cfg.MaxStale - left; age-b.For >= max(tick, g.cfg.MaxStale/10) || left == 0 && b.For < age {
		noted := Broken{Since: b.Since, For: age}
		g.now.Broken, g.counted, g.dirty = &noted, &noted, true
	}
	return left, left > 0
}

// staleness is for the status. g.mu is held.
func (g *Governor) staleness(now time.Time) *Staleness {
	b := g.now.Broken
	if b == nil || g.cfg.MaxStale <= 0 || g.counted != b {
		return nil
	}
	return &Staleness{Since: b.Since, Until: now.Add(g.expires.Sub(now)).UTC().Round(0), Expired: g.expired.Load()}
}
