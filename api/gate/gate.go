// Package gate decides which HTTP requests are answered at all, before any policy is asked.
//
// A [Gate] is a row of checks, and each stands against one attack:
//
//   - the rate of requests, against floods from one address (429)
//   - the token, against callers that were given none (401); over a Unix socket the kernel says who needs none
//   - the Host, where a browser may have sent the request, against DNS rebinding (403)
//   - Origin and Sec-Fetch-Site, against web pages of other sites (403)
//   - the client header, against forms and images (403)
//   - the content type, against requests that browsers send across sites without asking first (415)
//
// The token also says who the caller is and what it may do, see [Caller]. Which scope a route needs is not the
// gate's to know.
//
// [http.CrossOriginProtection] does not replace the checks of Origin and Sec-Fetch-Site: it lets GET,
// HEAD and OPTIONS pass, and the sidecar's contract guards reading, too.
package gate

import (
	"cmp"
	"errors"
	"iter"
	"net/http"
	"slices"
	"sync/atomic"
)

// DefaultPerSecond is how many requests a second one remote address may make; twice as many at once.
const DefaultPerSecond = 100

// Access is the class of a route: it says which checks a request has to pass.
type Access int

// The classes, each stricter than the one before.
const (
	Open   Access = iota // GET and HEAD pass without any check: liveness probes have no token
	Read                 // rate, token, Host, Origin and Sec-Fetch-Site: all that OPA's clients can show
	Decide               // and a body that has a content type must be JSON
	Change               // and the client header, and any body must be JSON
)

// Config is what a Gate needs. Only Token is required.
type Config struct {
	Token     string // lets callers in, under [DefaultName] and with [AllScopes]
	BindHost  string // the host that the listener was bound to
	PerSecond int    // requests of one remote address; 0: [DefaultPerSecond], negative: any number

	// AllowedHosts are further names by which browsers may call, in Host and in Origin.
	AllowedHosts []string

	// Find returns a further token by its digest. It is called for each request that does not present Token. Nil: there
	// are none.
	Find func(Digest) (Token, bool)
	// Digests returns the digests of all tokens that Find finds, and maybe of some more. Nil: there are none.
	Digests func() iter.Seq[Digest]
}

// Gate checks requests. Safe for concurrent use.
type Gate struct {
	digest   Digest // of the default token
	find     func(Digest) (Token, bool)
	digests  func() iter.Seq[Digest]
	hosts    atomic.Pointer[[]string] // by which browsers may call
	bindHost string
	throttle *throttle
}

// New makes a gate.
func New(cfg Config) (*Gate, error) {
	if cfg.Token == "" {
		return nil, errors.New("Config.Token is required")
	}
	g := &Gate{
		digest: DigestOf(cfg.Token), find: cfg.Find, digests: cfg.Digests, bindHost: cfg.BindHost, throttle: newThrottle(),
	}
	g.Adjust(cfg.AllowedHosts, cfg.PerSecond)
	return g, nil
}

// Adjust replaces AllowedHosts and PerSecond of the [Config]. Requests that are being checked may see either.
func (g *Gate) Adjust(allowedHosts []string, perSecond int) {
	hosts := append(slices.Clone(allowedHosts), g.bindHost)
	g.hosts.Store(&hosts)
	g.throttle.adjust(cmp.Or(perSecond, DefaultPerSecond))
}

// Denial is the answer to a request that did not pass.
type Denial struct {
	Status  int // of HTTP; 401 if, and only if, the caller has no valid token
	Message string
}

// Applies reports whether a request has to pass the gate of a route: all do but the probes, which are
// GET and HEAD of an [Open] route.
func Applies(r *http.Request, a Access) bool { return a != Open || !isSafe(r.Method) }

// Check returns the sender of a request that passes, or else the denial of the first check that it fails. Only
// requests to which the gate [Applies] may be checked.
func (g *Gate) Check(r *http.Request, a Access) (Caller, *Denial) {
	if caller, marked, valid := g.inside(r); valid {
		return caller, nil
	} else if marked {
		return Caller{}, &Denial{http.StatusUnauthorized, "the token that signed in is not valid any more"}
	}
	if !g.throttle.allow(r) {
		return Caller{}, &Denial{http.StatusTooManyRequests, "too many requests from this address"}
	}
	caller, denial := g.CheckToken(r)
	if denial == nil {
		denial = g.checkBrowser(r, a)
	}
	if denial != nil {
		return Caller{}, denial
	}
	return caller, nil
}

// checkBrowser stands against web pages that make a browser send what they cannot send themselves.
func (g *Gate) checkBrowser(r *http.Request, a Access) *Denial {
	switch {
	case !g.checkPeer(r):
		return &Denial{http.StatusForbidden, "without a token, a request over a Unix socket names a loopback host and has no header of a browser"}
	case !g.checkHost(r):
		return &Denial{http.StatusForbidden, "Host is neither the bound address nor a loopback name, nor one of --allowed-hosts"}
	case !g.checkOrigin(r):
		return &Denial{http.StatusForbidden, "non-localhost Origin rejected"}
	case !checkFetchSite(r):
		return &Denial{http.StatusForbidden, "cross-site request rejected"}
	case !checkClient(r, a):
		return &Denial{http.StatusForbidden, "missing X-DefenseClaw-Client header"}
	case !checkContentType(r, a):
		return &Denial{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
	default:
		return nil
	}
}

// CheckToken is [Gate.Check] for callers that are not browsers and may ask on behalf of many, such as a
// proxy that speaks gRPC: only the token is checked.
func (g *Gate) CheckToken(r *http.Request) (Caller, *Denial) {
	if caller, ok := g.caller(r); ok {
		return caller, nil
	}
	return Caller{}, g.denyToken(r)
}

func (g *Gate) denyToken(r *http.Request) *Denial {
	if !g.throttle.allowWrongToken(r) {
		return &Denial{http.StatusTooManyRequests, "too many wrong tokens from this address"}
	}
	return &Denial{http.StatusUnauthorized, "unauthorized"}
}

// isSafe reports whether a method changes nothing.
func isSafe(method string) bool { return method == http.MethodGet || method == http.MethodHead }
