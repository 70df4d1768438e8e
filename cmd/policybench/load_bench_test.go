package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"defenseclaw/engine/corpus"
)

// BenchmarkTheLoadItself is the most requests a second that the load can tell apart: from a server in
// this process that decides nothing.
func BenchmarkTheLoadItself(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"result":true}`)
	}))
	defer server.Close()
	l := &loaded{session: newSession(&process{addr: server.Listener.Addr().String(), token: token})}
	questions := []corpus.Question{{Path: "p/allow", Input: `{"user":"alice"}`, Result: "true"}}
	requests, started := 0, time.Now()
	for b.Loop() {
		took, err := l.underLoad(b.Context(), 4, 200*time.Millisecond, questions)
		if err != nil {
			b.Fatal(err)
		}
		requests += len(took)
	}
	b.ReportMetric(float64(requests)/time.Since(started).Seconds(), "requests/s")
}
