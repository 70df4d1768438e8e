package api_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/api"
	"defenseclaw/policies"
)

// beyondLoopback is a server that others can reach. It has no policy, which is 503 for decisions.
func beyondLoopback(t *testing.T) *api.Server {
	t.Helper()
	s, err := api.New(api.Config{Source: func() (fs.FS, error) { return policies.FS(), nil }, Token: "t", BindHost: "0.0.0.0", RequestsPerSecond: 10})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func from(s *api.Server, address, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://192.0.2.1/policy/status", nil)
	r.RemoteAddr = address
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestACallerThatIsTurnedAwayLearnsWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := beyondLoopback(t)
		for i := range 20 { // twice of what a second gives
			if w := from(s, "203.0.113.7:1000", "t"); w.Code != http.StatusOK {
				t.Fatalf("request %d: %d %s", i, w.Code, w.Body)
			}
		}
		w := from(s, "203.0.113.7:1001", "t")
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" ||
			!strings.Contains(w.Body.String(), `{"error":"too many requests from this address"}`) {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	})
}

// pipes is a listener whose connections end in the same process, so that fake time holds for them.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// TestSlowClientsAreCutOff whatever they are slow at.
func TestSlowClientsAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := beyondLoopback(t)
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx, l) }()
		dial := func() net.Conn {
			ours, theirs := net.Pipe()
			l.conns <- theirs
			return ours
		}
		const request = "POST /policy/evaluate HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\n"
		for name, tt := range map[string]struct {
			sent string
			most time.Duration
		}{
			"nothing at all":        {"", 6 * time.Second},
			"a header without end":  {request, 6 * time.Second},
			"a body without end":    {request + "Content-Length: 100\r\n\r\n{", 31 * time.Second},
			"no second request":     {"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 3 * time.Minute},
			"an answer is not read": {"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer t\r\n\r\n", 4 * time.Minute},
		} {
			conn, start := dial(), time.Now()
			if _, err := io.WriteString(conn, tt.sent); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if name == "an answer is not read" {
				time.Sleep(tt.most)
			}
			_, err := io.Copy(io.Discard, conn)
			if took := time.Since(start); took > tt.most || err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: cut off after %s, %v", name, took, err)
			}
			conn.Close()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
