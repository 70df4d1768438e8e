package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"defenseclaw/client"
)

// against is a client of a server that answers each request as the next of answers does; the last one stays.
func against(t *testing.T, answers ...http.HandlerFunc) (c *client.Client, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answers[min(int(asked.Add(1)), len(answers))-1](w, r)
	}))
	t.Cleanup(server.Close)
	t.Setenv("DEFENSECLAW_HOME", t.TempDir())
	return open(t, client.Config{Addr: strings.TrimPrefix(server.URL, "http://"), Token: "t", AnyListener: true, Timeout: time.Minute}), asked
}

func yes(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"decision_id":"1","result":true}`)
}

func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"code":"c","message":"m"}`)
	}
}

func broken(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestItAsksAgainWhereThatMayHelp(t *testing.T) {
	for name, c := range map[string]struct {
		answers []http.HandlerFunc
		asked   int32
		allowed bool
	}{
		"at once":                       {[]http.HandlerFunc{yes}, 1, true},
		"turned away, then not":         {[]http.HandlerFunc{status(503, "1"), yes}, 2, true},
		"too many requests, then not":   {[]http.HandlerFunc{status(429, "1"), yes}, 2, true},
		"broken connections":            {[]http.HandlerFunc{broken, broken, yes}, 3, true},
		"always broken":                 {[]http.HandlerFunc{broken}, 4, false},
		"turned away for good":          {[]http.HandlerFunc{status(503, ""), yes}, 1, false},
		"turned away for too long":      {[]http.HandlerFunc{status(503, "3600"), yes}, 1, false},
		"the policy failed":             {[]http.HandlerFunc{status(500, "1"), yes}, 1, false},
		"the request is wrong":          {[]http.HandlerFunc{status(400, ""), yes}, 1, false},
		"an answer that cannot be read": {[]http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, yes}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			caller, asked := against(t, c.answers...)
			allowed, err := caller.Allowed(t.Context(), "app/allow", nil)
			if allowed != c.allowed || (err == nil) != c.allowed || asked.Load() != c.asked {
				t.Errorf("%v, %v, asked %d times; want %v, %d", allowed, err, asked.Load(), c.allowed, c.asked)
			}
		})
	}
}

func TestACallEndsWithItsContextOrItsTime(t *testing.T) {
	release := make(chan struct{})
	caller, _ := against(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var silent *client.UnreachableError
	if allowed, err := caller.Allowed(ctx, "app/allow", nil); allowed || !errors.As(err, &silent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", allowed, err)
	}
}

func TestWhereNobodyListensTheErrorSaysSo(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	addr := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	t.Setenv("DEFENSECLAW_HOME", t.TempDir())
	var silent *client.UnreachableError
	if allowed, err := open(t, client.Config{Addr: addr}).Allowed(t.Context(), "app/allow", nil); allowed || !errors.As(err, &silent) || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v, %v", allowed, err)
	}
}
