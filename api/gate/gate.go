// Package gate decides which HTTP requests are answered at all, before any policy is asked.
//
// A [Gate] is a row of checks, and each stands against one attack:
//
//   - the rate of requests, against floods from one address (429)
//   - the token, against everyone who cannot read the operator's files (401)
//   - the Host, against DNS rebinding (403)
//   - Origin and Sec-Fetch-Site, against web pages of other sites (403)
//   - the client header, against forms and images (403)
//   - the content type, against requests that browsers send across sites without asking first (415)
//
// [http.CrossOriginProtection] does not replace the checks of Origin and Sec-Fetch-Site: it lets GET,
// HEAD and OPTIONS pass, and the sidecar's contract guards reading, too.
package gate

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"net/http"
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
	Token     string // lets callers in
	BindHost  string // the host that the listener was bound to
	PerSecond int    // requests of one remote address; 0: [DefaultPerSecond]
}

// Gate checks requests. Safe for concurrent use.
type Gate struct {
	tokenDigest [sha256.Size]byte
	bindHost    string
	throttle    *throttle
}

// New makes a gate.
func New(cfg Config) (*Gate, error) {
	if cfg.Token == "" {
		return nil, errors.New("Config.Token is required")
	}
	return &Gate{
		tokenDigest: sha256.Sum256([]byte(cfg.Token)), bindHost: cfg.BindHost,
		throttle: newThrottle(cmp.Or(cfg.PerSecond, DefaultPerSecond)),
	}, nil
}

// Denial is the answer to a request that did not pass.
type Denial struct {
	Status  int // of HTTP; 401 if, and only if, the caller has no valid token
	Message string
}

// Applies reports whether a request has to pass the gate of a route: all do but the probes, which are
// GET and HEAD of an [Open] route.
func Applies(r *http.Request, a Access) bool { return a != Open || !isSafe(r.Method) }

// Check returns nil if the request passes, or the denial of the first check that it fails.
func (g *Gate) Check(r *http.Request, a Access) *Denial {
	if !Applies(r, a) {
		return nil
	}
	switch {
	case !g.throttle.allow(r):
		return &Denial{http.StatusTooManyRequests, "too many requests from this address"}
	case !g.hasToken(r):
		return g.denyToken(r)
	case !g.checkHost(r):
		return &Denial{http.StatusForbidden, "Host is neither the bound address nor a loopback name"}
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
func (g *Gate) CheckToken(r *http.Request) *Denial {
	if !g.hasToken(r) {
		return g.denyToken(r)
	}
	return nil
}

func (g *Gate) denyToken(r *http.Request) *Denial {
	if !g.throttle.allowWrongToken(r) {
		return &Denial{http.StatusTooManyRequests, "too many wrong tokens from this address"}
	}
	return &Denial{http.StatusUnauthorized, "unauthorized"}
}

// isSafe reports whether a method changes nothing.
func isSafe(method string) bool { return method == http.MethodGet || method == http.MethodHead }
