package gate

import (
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"defenseclaw/api/internal/remote"

	"github.com/jellydator/ttlcache/v3"
	"golang.org/x/time/rate"
)

// Limits of one remote address. Wrong tokens have a limit of their own: an honest caller sends few.
const (
	burstSeconds      = 2 // worth of requests, at once
	wrongTokensPerSec = 1
	wrongTokensAtOnce = 10
	maxCallers        = 10_000 // that are distinguished; beyond that, the least recently seen is forgotten
	forgetCallerAfter = 10 * time.Minute
)

// caller is what one address, or one IPv6 network, may still do.
type caller struct {
	requests    *rate.Limiter
	wrongTokens *rate.Limiter
}

// throttle bounds how often remote addresses may call. Callers on this machine are not bounded: they
// have other ways to load it. Safe for concurrent use.
type throttle struct {
	perSecond atomic.Int64 // negative: any number
	callers   *ttlcache.Cache[netip.Addr, *caller]
}

func newThrottle() *throttle {
	return &throttle{callers: ttlcache.New(
		ttlcache.WithTTL[netip.Addr, *caller](forgetCallerAfter), ttlcache.WithCapacity[netip.Addr, *caller](maxCallers),
	)}
}

// adjust sets how many requests an address may make. What it has left of its bursts stays.
func (t *throttle) adjust(perSecond int) {
	if t.perSecond.Swap(int64(perSecond)) == int64(perSecond) {
		return
	}
	limit, burst := limits(int64(perSecond))
	for _, item := range t.callers.Items() {
		item.Value().requests.SetLimit(limit)
		item.Value().requests.SetBurst(burst)
	}
}

func limits(perSecond int64) (rate.Limit, int) {
	return rate.Limit(perSecond), int(max(0, perSecond)) * burstSeconds
}

// allow stands against floods. It comes first, since it costs less than any other check.
func (t *throttle) allow(r *http.Request) bool {
	if t.perSecond.Load() < 0 {
		return true
	}
	c := t.caller(r)
	return c == nil || c.requests.Allow()
}

// allowWrongToken stands against guessing. It counts one wrong token, and reports whether the caller
// may learn that it was wrong.
func (t *throttle) allowWrongToken(r *http.Request) bool {
	c := t.caller(r)
	return c == nil || c.wrongTokens.Allow()
}

// caller finds the sender of a request; nil if it is on this machine.
func (t *throttle) caller(r *http.Request) *caller {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil // a Unix socket
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.IsLoopback() || addr.Unmap().IsLoopback() {
		return nil
	}
	addr = remote.Network(addr).Addr()
	if item := t.callers.Get(addr); item != nil {
		return item.Value()
	}
	t.callers.DeleteExpired()
	item, _ := t.callers.GetOrSet(addr, &caller{
		requests:    rate.NewLimiter(limits(t.perSecond.Load())),
		wrongTokens: rate.NewLimiter(wrongTokensPerSec, wrongTokensAtOnce),
	})
	return item.Value()
}
