package gate_test

import (
	"context"
	"encoding/hex"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/api/gate"
)

// TestAnAttackMeetsItsCheck sends each class of route what every attack would look like.
func TestAnAttackMeetsItsCheck(t *testing.T) {
	loopback, beyond, page := "127.0.0.1", "0.0.0.0", []string{"Referer: http://evil.example/"}
	for _, c := range []struct {
		name, bind, method, host string
		body                     bool
		headers                  []string // beyond the token
		want                     [4]int   // for Open, Read, Decide and Change
	}{
		{"a client of OPA", loopback, "POST", loopback, true, nil, [4]int{200, 200, 200, 403}},
		{"a command", loopback, "POST", loopback, true, []string{"X-DefenseClaw-Client: cli", "Content-Type: application/json"}, [4]int{200, 200, 200, 200}},
		{"no token", loopback, "POST", loopback, false, []string{"Authorization: "}, [4]int{401, 401, 401, 401}},
		{"a wrong token", loopback, "POST", loopback, false, []string{"Authorization: Bearer tt"}, [4]int{401, 401, 401, 401}},
		{"another scheme", loopback, "POST", loopback, false, []string{"Authorization: Basic t"}, [4]int{401, 401, 401, 401}},
		{"a probe", loopback, "GET", "evil.example", false, []string{"Authorization: "}, [4]int{200, 401, 401, 401}},
		{"a service that calls by name", loopback, "GET", "policy:18970", false, nil, [4]int{200, 200, 200, 200}},
		{"a service of Node.js", beyond, "GET", "policy:18970", false, []string{"Sec-Fetch-Mode: cors", "User-Agent: node", "Accept-Language: *"}, [4]int{200, 200, 200, 200}},
		{"a rebound page without the token", loopback, "GET", "evil.example", false, []string{"Authorization: ", "Referer: http://evil.example/"}, [4]int{200, 401, 401, 401}},
		{"a rebound page that shows nothing of a browser", loopback, "GET", "evil.example", false, []string{"Authorization: "}, [4]int{200, 401, 401, 401}},
		{"a rebound page", loopback, "GET", "evil.example", false, []string{"Referer: http://evil.example/"}, [4]int{200, 403, 403, 403}},
		{"a rebound page that hides where it is", loopback, "GET", "evil.example", false, []string{"User-Agent: Mozilla/5.0 (X11)"}, [4]int{200, 403, 403, 403}},
		{"a rebound page with an origin of its own", loopback, "POST", "evil.example", true, []string{"Origin: http://evil.example", "X-DefenseClaw-Client: t", "Content-Type: application/json"}, [4]int{403, 403, 403, 403}},
		{"a rebound page over TLS", loopback, "GET", "evil.example", false, []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, [4]int{200, 403, 403, 403}},
		{"a name that begins well", loopback, "GET", "localhost.evil.example", false, page, [4]int{200, 403, 403, 403}},
		{"an allowed name", loopback, "GET", "Console.example.:8443", false, page, [4]int{200, 200, 200, 200}},
		{"a page of an allowed name", loopback, "POST", "console.example", true, []string{"Origin: https://console.example", "Sec-Fetch-Site: same-origin", "X-DefenseClaw-Client: t", "Content-Type: application/json"}, [4]int{200, 200, 200, 200}},
		{"a name below an allowed one", loopback, "GET", "x.console.example", false, page, [4]int{200, 403, 403, 403}},
		{"another address", loopback, "GET", "192.0.2.1:8181", false, page, [4]int{200, 403, 403, 403}},
		{"another address, bound to all", beyond, "GET", "192.0.2.1:8181", false, page, [4]int{200, 200, 200, 200}},
		{"a rebound name, bound to all", beyond, "GET", "evil.example", false, page, [4]int{200, 403, 403, 403}},
		{"a loopback name", loopback, "GET", "LOCALHOST:1", false, nil, [4]int{200, 200, 200, 200}},
		{"an IPv6 loopback address", loopback, "GET", "[::1]:99", false, nil, [4]int{200, 200, 200, 200}},
		{"a page of another site that reads", loopback, "GET", loopback, false, []string{"Origin: http://evil.example"}, [4]int{200, 403, 403, 403}},
		{"a page without an origin", loopback, "GET", loopback, false, []string{"Origin: null"}, [4]int{200, 403, 403, 403}},
		{"an image of another site", loopback, "GET", loopback, false, []string{"Sec-Fetch-Site: cross-site"}, [4]int{200, 403, 403, 403}},
		{"a page of the same site", loopback, "GET", loopback, false, []string{"Sec-Fetch-Site: same-site"}, [4]int{200, 403, 403, 403}},
		{"a page of this machine", loopback, "GET", loopback, false, []string{"Origin: http://127.0.0.1:8181", "Sec-Fetch-Site: same-origin"}, [4]int{200, 200, 200, 200}},
		{"a form", loopback, "POST", loopback, true, []string{"Content-Type: application/x-www-form-urlencoded"}, [4]int{200, 200, 415, 403}},
		{"a simple request", loopback, "POST", loopback, true, []string{"X-DefenseClaw-Client: t", "Content-Type: text/plain"}, [4]int{200, 200, 415, 415}},
		{"a body of no type", loopback, "POST", loopback, true, []string{"X-DefenseClaw-Client: t"}, [4]int{200, 200, 200, 415}},
		{"JSON of a kind", loopback, "POST", loopback, true, []string{"X-DefenseClaw-Client: t", "Content-Type: application/merge-patch+json"}, [4]int{200, 200, 200, 200}},
	} {
		g := create(t, gate.Config{BindHost: c.bind, AllowedHosts: []string{"console.example"}})
		for a := gate.Open; a <= gate.Change; a++ {
			r := httptest.NewRequest(c.method, "http://"+c.host+"/", nil)
			if c.body {
				r = httptest.NewRequest(c.method, "http://"+c.host+"/", strings.NewReader("{}"))
			}
			r.RemoteAddr = "127.0.0.1:1"
			r.Header.Set("Authorization", "Bearer t")
			for _, h := range c.headers {
				name, value, _ := strings.Cut(h, ": ")
				r.Header.Set(name, value)
			}
			got := http.StatusOK
			if gate.Applies(r, a) {
				if _, d := g.Check(r, a); d != nil {
					got = d.Status
				}
			}
			if got != c.want[a] {
				t.Errorf("%s, class %d: %d; want %d", c.name, a, got, c.want[a])
			}
		}
	}
}

func TestOverAUnixSocketAnyHostIsGood(t *testing.T) {
	g := create(t, gate.Config{})
	r := httptest.NewRequest(http.MethodGet, "http://anything/", nil)
	r.RemoteAddr = "@"
	r.Header.Set("Authorization", "Bearer t")
	r.Header.Set("Referer", "http://anything/")
	if _, d := g.Check(r, gate.Read); d == nil || d.Status != http.StatusForbidden {
		t.Errorf("over TCP: %+v", d)
	}
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "s", Net: "unix"}))
	if _, d := g.Check(r, gate.Read); d != nil {
		t.Errorf("over a Unix socket: %+v", d)
	}
}

func TestATokenMayComeInEachOfThreeHeaders(t *testing.T) {
	h := http.Header{}
	h.Set("X-DC-Auth", "bearer three")
	h.Set("X-DefenseClaw-Token", "two")
	h.Set("Authorization", "Bearer  one ")
	if got := slices.Collect(gate.Tokens(h)); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("%q", got)
	}
	for _, name := range []string{gate.HeaderClient, gate.HeaderToken, gate.HeaderAuth} {
		if name != http.CanonicalHeaderKey(name) {
			t.Errorf("%s is not spelled as a key of http.Header", name)
		}
	}
	g := create(t, gate.Config{})
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("Authorization", "Bearer wrong")
	r.Header.Set("X-DC-Auth", "Bearer t")
	if _, d := g.CheckToken(r); d != nil {
		t.Errorf("one of two tokens is right: %+v", d)
	}
}

func TestAGateNeedsAToken(t *testing.T) {
	if _, err := gate.New(gate.Config{}); err == nil {
		t.Error("a gate without a token lets everyone in")
	}
}

// TestWithoutATokenARequestOverASocketIsNoBrowsers: a page may reach the socket by a port that a person forwards to it.
func TestWithoutATokenARequestOverASocketIsNoBrowsers(t *testing.T) {
	if !gate.PeersAreKnown {
		t.Skip("SKIPPED: this system does not tell the user of a peer")
	}
	dir, err := os.MkdirTemp("", "gate") //nolint:usetesting // t.TempDir is too long for a socket on macOS
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	limits, err := gate.NewConnections(gate.ConnectionsConfig{Max: 100})
	if err != nil {
		t.Fatal(err)
	}
	g := create(t, gate.Config{})
	server := &http.Server{ConnContext: gate.ConnContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, d := g.Check(r, gate.Change); d != nil {
			w.WriteHeader(d.Status)
		}
	})}
	go server.Serve(limits.Listener(l)) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { server.Close() })
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", l.Addr().String()) }}
	t.Cleanup(transport.CloseIdleConnections)
	for _, c := range []struct {
		host, header string
		want         int
	}{
		{"localhost", "", 200}, {"localhost:8080", "", 200}, {"127.0.0.1", "", 200}, {"[::1]:1", "", 200},
		{"evil.example", "", 403}, {"localhost.evil.example", "", 403}, {"192.0.2.1", "", 403},
		{"localhost", "Origin: http://localhost", 403}, {"localhost", "Origin: null", 403},
		{"localhost", "Sec-Fetch-Site: same-origin", 403}, {"localhost", "sec-fetch-dest: image", 403},
		{"evil.example", "Authorization: Bearer t", 200}, {"localhost", "Authorization: Bearer wrong", 401},
		{"localhost", "X-DefenseClaw-Token: wrong", 401}, {"localhost", "Authorization: Bearer ", 401}, {"localhost", "X-DC-Auth: ", 401},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		r.Header.Set(gate.HeaderClient, "test")
		if name, value, ok := strings.Cut(c.header, ": "); ok {
			r.Header.Set(name, value)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("%s, %s: %d; want %d", c.host, c.header, answer.StatusCode, c.want)
		}
	}
}

// TestEveryValidTokenCanBeProven, and nothing else.
func TestEveryValidTokenCanBeProven(t *testing.T) {
	named, expired, unknown := gate.DigestOf("named"), gate.DigestOf("expired"), gate.DigestOf("unknown")
	g := create(t, gate.Config{
		Find: func(d gate.Digest) (gate.Token, bool) {
			switch d {
			case named:
				return gate.Token{Name: "named", Scopes: gate.ScopeDecide}, true
			case expired:
				return gate.Token{Name: "expired", Scopes: gate.ScopeDecide, Expires: time.Unix(1, 0)}, true
			default:
				return gate.Token{}, false
			}
		},
		Digests: func() iter.Seq[gate.Digest] { return slices.Values([]gate.Digest{named, expired, unknown}) },
	})
	addr := func(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }
	// prove has the gate answer a caller who sees one pair of addresses, while the gate sees another.
	prove := func(token gate.Digest, from, to, seenFrom, seenTo string) bool {
		c, ok := gate.NewChallenge(addr(from), addr(to))
		if !ok {
			return false
		}
		c.Nonce[0] = 1
		r := httptest.NewRequest(http.MethodGet, "/?nonce="+hex.EncodeToString(c.Nonce[:])+"&proof="+c.OfCaller(token), nil)
		r.RemoteAddr = seenFrom
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr(seenTo)))
		answer, denial := g.Prove(r)
		return denial == nil && c.IsOfListener(answer, token)
	}
	const caller, listener = "127.0.0.1:5000", "127.0.0.1:18970"
	for token, want := range map[gate.Digest]bool{gate.DigestOf("t"): true, named: true, expired: false, unknown: false, {}: false} {
		if got := prove(token, caller, listener, caller, listener); got != want {
			t.Errorf("%x: %v", token[:4], got)
		}
	}
	for _, c := range []struct {
		why, from, to, seenFrom, seenTo string
		want                            bool
	}{
		{"IPv6", "[::1]:5000", "[::1]:18970", "[::1]:5000", "[::1]:18970", true},
		{"this machine's own address", "192.0.2.1:5000", "192.0.2.1:18970", "192.0.2.1:5000", "192.0.2.1:18970", true},
		{"another way to write it", "[::ffff:127.0.0.1]:5000", listener, caller, "[::ffff:127.0.0.1]:18970", true},
		{"passed on from another port", caller, listener, "127.0.0.1:5001", listener, false},
		{"passed on to another port", caller, listener, caller, "127.0.0.1:18971", false},
		{"passed on to another address", caller, listener, caller, "127.0.0.2:18970", false},
		{"another machine", "192.0.2.2:5000", "192.0.2.1:18970", "192.0.2.2:5000", "192.0.2.1:18970", false},
	} {
		if got := prove(named, c.from, c.to, c.seenFrom, c.seenTo); got != c.want {
			t.Errorf("%s: %v", c.why, got)
		}
	}
}
