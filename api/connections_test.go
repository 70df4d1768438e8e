package api_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/gate"
	"defenseclaw/engine"
)

// eachProtocol calls body with a client that speaks HTTP/1.1 and one that speaks HTTP/2, and the base URL of a
// sidecar within these limits, whose policy has a document of 8 MB.
func eachProtocol(t *testing.T, cfg gate.ConnectionsConfig, body func(t *testing.T, s *sidecar, client *http.Client, url string)) {
	large := map[string]string{"p.rego": "package p\nx := 1\n", "data.json": `{"large":"` + strings.Repeat("x", 8<<20) + `"}`}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			connections, err := gate.NewConnections(cfg)
			if err != nil {
				t.Fatal(err)
			}
			s := &sidecar{t: t, files: policy(large), connections: connections}
			transport, scheme := &http.Transport{DisableCompression: true}, "http"
			if protocol == "HTTP/2.0" {
				certified := httptest.NewTLSServer(nil)
				defer certified.Close()
				scheme, transport.ForceAttemptHTTP2 = "https", true
				transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the test's own server
				s.start(t, func(c *api.Config, _ *engine.Config) { c.TLS = &tls.Config{Certificates: certified.TLS.Certificates} })
			} else {
				s.start(t, nil)
			}
			defer transport.CloseIdleConnections()
			body(t, s, &http.Client{Transport: transport}, scheme+"://"+s.addr)
		})
	}
}

func send(t *testing.T, client *http.Client, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return client.Do(r)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestAReaderThatTakesNothingIsDisconnected: the answer would stay in memory.
func TestAReaderThatTakesNothingIsDisconnected(t *testing.T) {
	before := api.SetStallTimeout(50 * time.Millisecond)
	defer api.SetStallTimeout(before)
	eachProtocol(t, gate.ConnectionsConfig{Max: 10}, func(t *testing.T, s *sidecar, client *http.Client, url string) {
		slow, err := send(t, client, url+"/v1/data/large")
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Body.Close()
		eventually(t, "the handler has ended", func() bool {
			probe := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			probe.Header.Set("Authorization", "Bearer "+token)
			probe.Host = "localhost"
			answer := httptest.NewRecorder()
			s.ServeHTTP(answer, probe)
			return strings.Contains(answer.Body.String(), `defenseclaw_http_requests_total{code="200",route="/v1/data/{path...}"} 1`)
		})
		if n, err := io.Copy(io.Discard, slow.Body); err == nil {
			t.Errorf("the whole answer came: %d bytes", n)
		}
	})
}

func TestAReaderThatTakesALargeAnswerGetsAll(t *testing.T) {
	eachProtocol(t, gate.ConnectionsConfig{Max: 10}, func(t *testing.T, _ *sidecar, client *http.Client, url string) {
		quick, err := send(t, client, url+"/v1/data/large")
		if err != nil {
			t.Fatal(err)
		}
		defer quick.Body.Close()
		if n, err := io.Copy(io.Discard, quick.Body); err != nil || n < 8<<20 {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestOnlyTheTokenKeepsAConnectionOpen: neither silence, nor a header that never ends, nor a probe does.
func TestOnlyTheTokenKeepsAConnectionOpen(t *testing.T) {
	const tokenWait = 200 * time.Millisecond
	eachProtocol(t, gate.ConnectionsConfig{Max: 10, TokenWait: tokenWait}, func(t *testing.T, s *sidecar, client *http.Client, url string) {
		dials := 0
		transport := client.Transport.(*http.Transport) //nolint:forcetypeassert // eachProtocol's
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
		ask := func() {
			t.Helper()
			answer, err := send(t, client, url+"/v1/data/p/x")
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if _, err := io.Copy(io.Discard, answer.Body); err != nil {
				t.Error(err)
			}
		}
		ask()
		for _, text := range []string{"", "GET / HTTP/1.1\r\nX: ", "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := fmt.Fprint(conn, text); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, conn) // until the sidecar closes it
		}
		ask()
		if dials != 1 {
			t.Errorf("%d connections by the client that has the token", dials)
		}
		if _, rejected := s.connections.Health(); rejected[gate.RejectedNoToken] == 0 {
			t.Error("no connection was closed for want of the token")
		}
	})
}
