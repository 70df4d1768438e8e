package audit

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"defenseclaw/api/internal/remote"
)

const (
	minWindow       = time.Minute      // records of one key within a window are folded into one
	maxWindow       = 10 * time.Minute // the window doubles up to this while there is something to fold
	maxKeys         = 10               // keys of a window that have records of their own
	maxOtherKeys    = 1024             // further keys that are counted
	maxExampleNames = 16               // of the further keys, named in the record
)

// limiter folds the records of one key within a window into one, in bounded memory.
type limiter struct {
	mu     sync.Mutex // guards the fields below
	length time.Duration
	keys   map[string]*folded
	others folded // the records of further keys
	names  map[string]bool
}

// folded counts records that get no row of their own.
type folded struct {
	count       int
	first, last time.Time
	example     Record
}

func (f *folded) add(r Record) {
	if f.count == 0 {
		f.first, f.example = r.Time, r
	}
	f.count++
	f.last = r.Time
}

// AppendLimited records what anyone on the network can cause at any rate, such as a refused login. The
// first record of an address is written as by Append. Later ones within a minute (ten minutes if it
// continues) are written as one record with their count. An IPv6 address counts as its /64 network.
// Addresses beyond the tenth share one record. AppendLimited does not wait for the disk, and leaves half
// of the backlog to other records.
func (l *Log) AppendLimited(address string, r Record) {
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	if !l.limited.first(limitKey(address), r, l.crowded()) {
		return
	}
	v, err := prepare(r, l.cfg.RunID)
	if err != nil { // record at least the event
		v, err = prepare(Record{
			Action: cmp.Or(r.Action, ActionAuthRefused), Actor: r.Actor, Target: r.Target, Outcome: r.Outcome, Message: err.Error(),
		}, l.cfg.RunID)
	}
	if err == nil {
		l.enqueue(&item{values: v})
	}
}

// crowded reports whether half of the backlog is in use.
func (l *Log) crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.orphans >= l.cfg.Backlog/2
}

// first reports whether r gets a row of its own. Otherwise it counts r.
func (l *limiter) first(key string, r Record, crowded bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys, l.names = map[string]*folded{}, map[string]bool{}
	}
	if f, ok := l.keys[key]; ok {
		f.add(r)
		return false
	}
	if len(l.keys) < maxKeys {
		f := &folded{}
		l.keys[key] = f
		if crowded {
			f.add(r)
		}
		return !crowded
	}
	l.others.add(r)
	if len(l.names) < maxOtherKeys {
		l.names[key] = true
	}
	return false
}

// window is the length of the current window.
func (l *limiter) window() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cmp.Or(l.length, minWindow)
}

// end starts a new window and returns the records of the one that ends.
func (l *limiter) end() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Record
	for key, f := range l.keys {
		if f.count > 0 {
			all = append(all, f.record(key, map[string]any{}))
		}
	}
	slices.SortFunc(all, func(a, b Record) int { return a.Time.Compare(b.Time) })
	if l.others.count > 0 {
		names := make([]string, 0, len(l.names))
		for name := range l.names {
			names = append(names, name)
		}
		slices.Sort(names)
		details := map[string]any{
			"addresses": len(names), "more_addresses": len(names) == maxOtherKeys,
			"examples": names[:min(len(names), maxExampleNames)],
		}
		all = append(all, l.others.record(fmt.Sprintf("%d other addresses", len(names)), details))
	}
	l.length = min(maxWindow, 2*cmp.Or(l.length, minWindow))
	if len(all) == 0 {
		l.length = minWindow
	}
	l.keys, l.names, l.others = nil, nil, folded{}
	return all
}

func (f *folded) record(actor string, details map[string]any) Record {
	r := f.example
	details["folded"], details["first"], details["last"] = f.count, f.first, f.last
	if len(r.Details) > 0 {
		details["like"] = r.Details
	}
	r.Time, r.Actor, r.Details = f.last, actor, JSON(details)
	r.Message = strings.TrimSpace(fmt.Sprintf("%d more, counted in one record; the first: %s", f.count, r.Message))
	return r
}

// fold writes what the window that ends now has counted.
func (l *Log) fold() {
	for _, r := range l.limited.end() {
		if v, err := prepare(r, l.cfg.RunID); err == nil {
			l.enqueue(&item{values: v})
		}
	}
}

// limitKey is the key that an address counts as: its [remote.Network].
func limitKey(address string) string {
	host := address
	if ap, err := netip.ParseAddrPort(address); err == nil {
		host = ap.Addr().String()
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return fit(address)
	}
	network := remote.Network(ip)
	if network.IsSingleIP() {
		return network.Addr().String()
	}
	return network.String()
}
