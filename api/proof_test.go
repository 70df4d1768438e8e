package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/api"
)

// tap is a listener that keeps what it was sent.
type tap struct {
	net.Listener
	mu   sync.Mutex
	sent strings.Builder
}

func (l *tap) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent.Write(p)
}

func (l *tap) got() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent.String()
}

// listenFalsely has each connection served by a function, which reads from the second parameter.
func listenFalsely(t *testing.T, serve func(net.Conn, *bufio.Reader)) *tap {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &tap{Listener: inner}
	var running sync.WaitGroup
	t.Cleanup(func() { l.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				serve(conn, bufio.NewReader(io.TeeReader(conn, l)))
			})
		}
	})
	return l
}

func answer(conn net.Conn, status, body string) {
	fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

// answers serves one answer to the first request, and keeps what else comes.
func answers(status, body, more string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		answer(conn, status, body)
		_, _ = io.WriteString(conn, more)
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = io.Copy(io.Discard, in)
	}
}

// TestTheTokenGoesOnlyToAListenerThatHoldsIt: not to one that took over the port of a killed sidecar.
func TestTheTokenGoesOnlyToAListenerThatHoldsIt(t *testing.T) {
	zeros := strings.Repeat("0", 64)
	for name, serve := range map[string]func(net.Conn, *bufio.Reader){
		"a gateway without the challenge": answers("401 Unauthorized", `{"error":"unauthorized"}`, ""),
		"another server":                  answers("404 Not Found", "404 page not found", ""),
		"a wrong proof":                   answers("200 OK", `{"proof":"`+zeros+`"}`, ""),
		"no proof":                        answers("200 OK", `{}`, ""),
		"no JSON":                         answers("200 OK", `OK`, ""),
		"two answers":                     answers("200 OK", `{}`, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
		"no HTTP":                         func(conn net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(conn, "SSH-2.0-x\r\n") },
		"an endless header": func(conn net.Conn, _ *bufio.Reader) {
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: ")
			for err == nil {
				_, err = io.WriteString(conn, strings.Repeat("x", 4096))
			}
		},
		"the caller's own proof": func(conn net.Conn, in *bufio.Reader) {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			answer(conn, "200 OK", `{"proof":"`+r.URL.Query().Get("proof")+`"}`)
			_, _ = io.Copy(io.Discard, in)
		},
	} {
		l := listenFalsely(t, serve)
		_, err := (&api.Client{Addr: l.Addr().String(), Token: token, Timeout: 20 * time.Second}).Reload(t.Context())
		if untrusted := new(api.UntrustedError); !errors.As(err, &untrusted) ||
			!strings.HasPrefix(err.Error(), "nothing was sent to http://"+l.Addr().String()+": the listener did not prove that it holds the token") {
			t.Errorf("%s: %v", name, err)
		}
		if got := l.got(); strings.Contains(got, token) || strings.Contains(got, "/policy/reload") {
			t.Errorf("%s got %q", name, got)
		}
	}
	l := listenFalsely(t, answers("500 Internal Server Error", "x", ""))
	if _, err := (&api.Client{Addr: l.Addr().String(), Token: token, AnyListener: true}).Reload(t.Context()); err == nil || !strings.Contains(l.got(), token) {
		t.Errorf("with AnyListener: %v, and it got %q", err, l.got())
	}
}

// TestAListenerThatPassesTheChallengeOnProvesNothing: its connection to the sidecar is another one.
func TestAListenerThatPassesTheChallengeOnProvesNothing(t *testing.T) {
	s := full(t)
	l := listenFalsely(t, func(conn net.Conn, in *bufio.Reader) {
		sidecar, err := net.Dial("tcp", s.addr)
		if err != nil {
			return
		}
		defer sidecar.Close()
		go func() { _, _ = io.Copy(sidecar, in); sidecar.Close() }()
		_, _ = io.Copy(conn, sidecar)
	})
	if _, err := (&api.Client{Addr: s.addr, Token: token}).Status(t.Context()); err != nil {
		t.Fatalf("the sidecar itself: %v", err)
	}
	_, err := (&api.Client{Addr: l.Addr().String(), Token: token}).Status(t.Context())
	if untrusted := new(api.UntrustedError); !errors.As(err, &untrusted) || !strings.Contains(err.Error(), "answered 401") {
		t.Error(err)
	}
	if got := l.got(); strings.Contains(got, token) || !strings.Contains(got, "/health/proof") {
		t.Errorf("it got %q", got)
	}
}

// TestTheChallengeTellsNothingWithoutTheToken.
func TestTheChallengeTellsNothingWithoutTheToken(t *testing.T) {
	s := full(t)
	zeros := strings.Repeat("0", 64)
	for query, want := range map[string]int{
		"": 400, "?nonce=" + zeros: 400, "?nonce=" + zeros + "&proof=" + zeros: 401, "?nonce=" + zeros + "&proof=00": 400,
		"?nonce=" + zeros + "00&proof=" + zeros: 400, "?nonce=x&proof=y": 400,
	} {
		s.expect(http.MethodGet, "/health/proof"+query, "", want, "error", "Authorization: ")
	}
	s.expect(http.MethodPost, "/health/proof", "{}", http.StatusMethodNotAllowed, "")
}
