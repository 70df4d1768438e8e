package gate

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// checkHost stands against DNS rebinding: a web page whose own host name resolves to this machine.
func (g *Gate) checkHost(r *http.Request) bool { return overUnix(r) || g.allowsHost(hostname(r.Host)) }

// overUnix reports whether a request came over a Unix socket. No page can make a browser call one, and
// clients send any name as the host.
func overUnix(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && addr.Network() == "unix"
}

// checkOrigin stands against pages of other sites that call this machine's ports.
func (g *Gate) checkOrigin(r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !g.allowsHost(u.Hostname()) {
			return false
		}
	}
	return true
}

// checkFetchSite stands against the same pages where a browser omits Origin, as it does for images and
// links: it says in Sec-Fetch-Site that another site made the request.
func checkFetchSite(r *http.Request) bool {
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return false
		}
	}
	return true
}

// checkClient stands against forms and images: they cannot set a header.
func checkClient(r *http.Request, a Access) bool {
	return a != Change || isSafe(r.Method) || r.Header.Get(HeaderClient) != ""
}

// checkContentType stands against "simple" requests, which browsers send across sites without a
// preflight. None of their content types is JSON.
func checkContentType(r *http.Request, a Access) bool {
	if a < Decide || r.ContentLength == 0 || isSafe(r.Method) {
		return true
	}
	value := r.Header.Get("Content-Type")
	if value == "" {
		return a != Change
	}
	mediaType, _, err := mime.ParseMediaType(value)
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}

// allowsHost reports whether the sidecar may be called by a name: a loopback name, the host that it was
// bound to or, if that is not loopback, any literal address, since only names can be rebound.
func (g *Gate) allowsHost(host string) bool {
	if isLoopback(host) || strings.EqualFold(host, g.bindHost) {
		return true
	}
	if isLoopback(g.bindHost) {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

func isLoopback(host string) bool {
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
