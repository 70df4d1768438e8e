package gate

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// checkHost stands against DNS rebinding: a web page whose own host name resolves to this machine.
//
// What stands against it first is the token, which no browser sends by itself: a page would have to hold it. So a
// request with a token and without any sign of a browser is not refused for the name by which it calls, which for
// a service is that of its Service or container.
func (g *Gate) checkHost(r *http.Request) bool {
	return overUnix(r) || !fromBrowser(r.Header) || g.allowsHost(hostname(r.Host))
}

// fromBrowser reports whether a request has a header that browsers send and other programs do not. Sec-Fetch-Mode alone is
// sent by the fetch of Node.js; browsers send it together with Sec-Fetch-Site.
func fromBrowser(h http.Header) bool {
	for _, name := range [...]string{
		"Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Sec-Fetch-User", "Cookie", "Upgrade-Insecure-Requests", "Sec-Ch-Ua",
	} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return strings.HasPrefix(h.Get("User-Agent"), "Mozilla/") // from a page over plain HTTP, browsers may send none of the others
}

// overUnix reports whether a request came over a Unix socket. No page can make a browser call one, and
// clients send any name as the host. checkPeer looks at those without a token.
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

// allowsHost reports whether a browser may call by a name: a loopback name, the host that the listener was
// bound to, one that the operator allows or, if that is not loopback, any literal address, since only names can be rebound.
func (g *Gate) allowsHost(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if isLoopback(host) || slices.ContainsFunc(*g.hosts.Load(), func(own string) bool { return strings.EqualFold(host, own) }) {
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
