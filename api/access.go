package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Header names that callers of the sidecar know.
const (
	HeaderClient    = "X-DefenseClaw-Client"
	HeaderToken     = "X-DefenseClaw-Token" //nolint:gosec // a header's name
	HeaderAuth      = "X-DC-Auth"
	HeaderRequestID = "X-DefenseClaw-Request-Id"
)

// The same as keys of [http.Header], which would be made of them for each request.
var (
	clientKey    = http.CanonicalHeaderKey(HeaderClient)
	tokenKey     = http.CanonicalHeaderKey(HeaderToken)
	authKey      = http.CanonicalHeaderKey(HeaderAuth)
	requestIDKey = http.CanonicalHeaderKey(HeaderRequestID)
)

// access says which gates stand before a route.
type access int

const (
	accessOpen   access = iota // none: liveness probes come without a token
	accessRead                 // token, host and origin: all that OPA's clients can show
	accessDecide               // the same, and a body that says it is not JSON is refused
	accessChange               // and the client header, and JSON for any body
)

// denial is the answer of a gate.
type denial struct {
	status  int
	message string
}

// gate judges a request before its handler; ok is false when it is denied.
type gate func(r *http.Request, a access) (denial, bool)

// gates are the gates in the order in which they stand.
func (s *Server) gates() []gate {
	return []gate{s.rateGate, s.tokenGate, s.hostGate, originGate(s.hostAllowed), fetchGate, clientGate, contentTypeGate}
}

// tokenGate stands against everybody who cannot read the operator's files.
func (s *Server) tokenGate(r *http.Request, _ access) (denial, bool) {
	ok := false
	var room [3]string
	for _, given := range appendTokens(room[:0], r.Header) {
		digest := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(digest[:], s.tokenDigest[:]) == 1 {
			ok = true
		}
	}
	if !ok {
		return s.wrongToken(r), false
	}
	return denial{}, true
}

// appendTokens appends the tokens that a request brings to those there.
func appendTokens(tokens []string, h http.Header) []string {
	tokens = appendBearer(tokens, h["Authorization"])
	if t := h[tokenKey]; len(t) > 0 && t[0] != "" {
		tokens = append(tokens, t[0])
	}
	return appendBearer(tokens, h[authKey])
}

func appendBearer(tokens, values []string) []string {
	if len(values) == 0 {
		return tokens
	}
	if scheme, token, ok := strings.Cut(values[0], " "); ok && strings.EqualFold(scheme, "Bearer") {
		tokens = append(tokens, strings.TrimSpace(token))
	}
	return tokens
}

// hostGate stands against DNS rebinding: a page whose name was made to resolve to this machine.
func (s *Server) hostGate(r *http.Request, _ access) (denial, bool) {
	return denial{http.StatusForbidden, "Host is neither the bound address nor a loopback name"}, overUnix(r) || s.hostAllowed(hostname(r.Host))
}

// overUnix reports whether a request came by a Unix socket. No page can make a browser call one, and
// clients send any name as the host.
func overUnix(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && addr.Network() == "unix"
}

// originGate stands against pages of other sites that know the port.
func originGate(allowed func(host string) bool) gate {
	return func(r *http.Request, _ access) (denial, bool) {
		refused := denial{http.StatusForbidden, "non-localhost Origin rejected"}
		origins := r.Header.Values("Origin")
		for _, origin := range origins {
			u, err := url.Parse(origin)
			if err != nil || u.Host == "" || !allowed(u.Hostname()) {
				return refused, false
			}
		}
		return refused, true
	}
}

// fetchGate believes the browser when it says that another site sent the request.
func fetchGate(r *http.Request, _ access) (denial, bool) {
	ok := !slices.ContainsFunc(r.Header.Values("Sec-Fetch-Site"), func(site string) bool {
		return site != "same-origin" && site != "none"
	})
	return denial{http.StatusForbidden, "cross-site request rejected"}, ok
}

// clientGate stands against forms and images: they cannot set a header.
func clientGate(r *http.Request, a access) (denial, bool) {
	ok := a != accessChange || r.Method == http.MethodGet || r.Method == http.MethodHead || r.Header.Get(clientKey) != ""
	return denial{http.StatusForbidden, "missing " + HeaderClient + " header"}, ok
}

// contentTypeGate stands against the "simple" requests that browsers send across sites unasked.
func contentTypeGate(r *http.Request, a access) (denial, bool) {
	refused := denial{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
	if a < accessDecide || r.ContentLength == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return refused, true
	}
	value := r.Header.Get("Content-Type")
	if value == "" {
		return refused, a != accessChange
	}
	mediaType, _, err := mime.ParseMediaType(value)
	return refused, err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}

// hostAllowed knows the names under which the sidecar is rightly called: loopback, the address it
// was bound to and, when it was bound beyond loopback, any literal address, since only names can
// be rebound.
func (s *Server) hostAllowed(host string) bool {
	if isLoopbackName(host) || strings.EqualFold(host, s.cfg.BindHost) {
		return true
	}
	if isLoopbackName(s.cfg.BindHost) {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// IsLoopback reports whether a bind address can be reached from this machine only.
func IsLoopback(host string) bool { return isLoopbackName(host) }

func isLoopbackName(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// hostname is the host of a Host header, without port and brackets.
func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}
