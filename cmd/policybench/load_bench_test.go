package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"defenseclaw/engine/corpus"
)

// BenchmarkLoadGenerator measures the maximum rate of the load generator, against a server in this process
// that decides nothing.
func BenchmarkLoadGenerator(b *testing.B) {
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
		latencies, err := l.underLoad(b.Context(), 4, 200*time.Millisecond, questions)
		if err != nil {
			b.Fatal(err)
		}
		requests += len(latencies)
	}
	b.ReportMetric(float64(requests)/time.Since(started).Seconds(), "requests/s")
}
