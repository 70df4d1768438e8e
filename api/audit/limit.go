package audit

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	limitWindow   = time.Minute      // what comes within it is folded
	limitLongest  = 10 * time.Minute // to which it grows, twofold at a time, while there is something to fold
	limitKeys     = 10               // keys of a window that have records of their own
	limitOthers   = 1024             // further keys that are told apart, to count them
	limitExamples = 16               // of those that are named
)

// limiter folds records of the same key within a window, in bounded memory.
type limiter struct {
	mu     sync.Mutex // guards the fields below
	length time.Duration
	keys   map[string]*folded
	others folded // of further keys
	names  map[string]bool
}

// folded counts records that were not written one by one.
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

// AppendLimited records what strangers can cause as often as they like, such as a refused login: the
// first of an address is written, as Append would; what follows within a minute (within ten, while
// it goes on) is counted, and written as one record that says how many there were. An IPv6 address
// stands for its /64. So are addresses beyond the tenth, all as one. It does not wait for the disk,
// and leaves half of the backlog to others.
func (l *Log) AppendLimited(address string, r Record) {
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	if !l.limited.first(limitKey(address), r, l.crowded()) {
		return
	}
	v, err := prepare(r, l.cfg.RunID)
	if err != nil { // still better than nothing
		v, err = prepare(Record{Action: cmp.Or(r.Action, ActionAuthRefused), Actor: r.Actor, Target: r.Target, Outcome: r.Outcome, Message: err.Error()}, l.cfg.RunID)
	}
	if err == nil {
		l.enqueue(&item{values: v})
	}
}

// crowded reports whether so many records wait for the disk that these should not.
func (l *Log) crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.orphans >= l.cfg.Backlog/2
}

// first reports whether r is to be written by itself; it counts r otherwise.
func (l *limiter) first(key string, r Record, crowded bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys, l.names = map[string]*folded{}, map[string]bool{}
	}
	if f, known := l.keys[key]; known {
		f.add(r)
		return false
	}
	if len(l.keys) < limitKeys {
		f := &folded{}
		l.keys[key] = f
		if crowded {
			f.add(r)
		}
		return !crowded
	}
	l.others.add(r)
	if len(l.names) < limitOthers {
		l.names[key] = true
	}
	return false
}

// window is how long the current window lasts.
func (l *limiter) window() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cmp.Or(l.length, limitWindow)
}

// end begins a new window and gives the records for the one that ends.
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
		details := map[string]any{"addresses": len(names), "more_addresses": len(names) == limitOthers, "examples": names[:min(len(names), limitExamples)]}
		all = append(all, l.others.record(fmt.Sprintf("%d other addresses", len(names)), details))
	}
	l.length = min(limitLongest, 2*cmp.Or(l.length, limitWindow))
	if len(all) == 0 {
		l.length = limitWindow
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
	r.Message = strings.TrimSpace(fmt.Sprintf("%d more, folded into one record; the first of them: %s", f.count, r.Message))
	return r
}

// fold writes what was counted in the window that ends now.
func (l *Log) fold() {
	for _, r := range l.limited.end() {
		if v, err := prepare(r, l.cfg.RunID); err == nil {
			l.enqueue(&item{values: v})
		}
	}
}

// limitKey is what an address is counted under: its network, when one customer has so many.
func limitKey(address string) string {
	host := address
	if ap, err := netip.ParseAddrPort(address); err == nil {
		host = ap.Addr().String()
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return fit(address)
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() && !ip.IsLoopback() {
		if network, err := ip.Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}
