package oci

import (
	"fmt"
	"net"
	"net/http"
	"sync"
)

// guard sees every request that is sent: for manifests and layers, to where these are redirected, and for tokens.
type guard struct {
	next      http.RoundTripper
	plainHTTP bool
	host      string                    // of the registry
	sign      func(*http.Request) error // may be nil
}

// RoundTrip refuses plain HTTP, over which anybody on the way could send another policy or read a password.
func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" && (!g.plainHTTP || !loopback(request.URL.Hostname())) {
		return nil, fmt.Errorf("the registry leads to %s://%s: https:// was expected", request.URL.Scheme, request.URL.Host)
	}
	if g.sign != nil && request.URL.Host == g.host && request.Header.Get("Authorization") == "" {
		request = request.Clone(request.Context()) // a transport must not alter what it is given
		if err := g.sign(request); err != nil {
			return nil, err
		}
	}
	response, err := g.next.RoundTrip(request)
	if err == nil {
		if told, ok := request.Context().Value(noteKey{}).(*note); ok {
			told.take(response.Header)
		}
	}
	return response, err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

type noteKey struct{}

// note is what the answers to one look say that oras does not hand on.
type note struct {
	mu         sync.Mutex
	retryAfter string // of the last answer that had it
}

func (n *note) take(h http.Header) {
	if text := h.Get("Retry-After"); text != "" {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.retryAfter = text
	}
}

func (n *note) header() http.Header {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := http.Header{}
	if n.retryAfter != "" {
		h.Set("Retry-After", n.retryAfter)
	}
	return h
}
