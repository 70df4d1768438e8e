package api

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/jellydator/ttlcache/v3"
	"golang.org/x/time/rate"
)

// Limits of one caller beyond this machine. Wrong tokens are counted apart, and few are enough.
const (
	burstSeconds   = 2 // of requests, at once
	wrongPerSecond = 1
	wrongBurst     = 10
	mostCallers    = 10_000 // that are told apart; the one that called longest ago is forgotten
	forgetAfter    = 10 * time.Minute
)

// caller is what one address, or one IPv6 network of 64 bits, may still do.
type caller struct {
	requests *rate.Limiter
	wrong    *rate.Limiter
}

// throttle bounds how often callers beyond this machine may call: those on it have better ways to be
// a nuisance. Safe for concurrent use.
type throttle struct {
	perSecond int
	callers   *ttlcache.Cache[netip.Addr, *caller]
}

func newThrottle(perSecond int) *throttle {
	return &throttle{perSecond: perSecond, callers: ttlcache.New(
		ttlcache.WithTTL[netip.Addr, *caller](forgetAfter), ttlcache.WithCapacity[netip.Addr, *caller](mostCallers),
	)}
}

// of finds the caller, nil for one that is not bounded.
func (t *throttle) of(r *http.Request) *caller {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil // a Unix socket
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.IsLoopback() || addr.Unmap().IsLoopback() {
		return nil
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			addr = network.Addr()
		}
	}
	if known := t.callers.Get(addr); known != nil {
		return known.Value()
	}
	t.callers.DeleteExpired()
	item, _ := t.callers.GetOrSet(addr, &caller{
		requests: rate.NewLimiter(rate.Limit(t.perSecond), t.perSecond*burstSeconds),
		wrong:    rate.NewLimiter(wrongPerSecond, wrongBurst),
	})
	return item.Value()
}

// rateGate stands against floods, before everything that costs more than it does.
func (s *Server) rateGate(r *http.Request, _ access) (denial, bool) {
	c := s.throttle.of(r)
	return denial{http.StatusTooManyRequests, "too many requests from this address"}, c == nil || c.requests.Allow()
}

// wrongToken counts against those who guess, and says what they are told.
func (s *Server) wrongToken(r *http.Request) denial {
	if c := s.throttle.of(r); c != nil && !c.wrong.Allow() {
		return denial{http.StatusTooManyRequests, "too many wrong tokens from this address"}
	}
	return denial{http.StatusUnauthorized, "unauthorized"}
}
