package api_test

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/api/decisionlog"
	"defenseclaw/engine"
)

// BenchmarkDecision is a decision by OPA's API from request to answer, without and with a decision log.
func BenchmarkDecision(b *testing.B) {
	files := map[string]string{"p.rego": "package p\ndefault allow := false\nallow if input.user == \"alice\""}
	b.Run("log=off", func(b *testing.B) { benchmarkDecision(b, start(b, files, nil)) })
	b.Run("log=on", func(b *testing.B) {
		l, err := decisionlog.New(decisionlog.Config{Console: io.Discard})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		benchmarkDecision(b, start(b, files, func(c *api.Config, _ *engine.Config) { c.Decisions = l }))
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		h := l.Health()
		b.ReportMetric(float64(h.Dropped[decisionlog.DroppedQueue])/float64(h.Written[decisionlog.SinkConsole]+h.Dropped[decisionlog.DroppedQueue]), "dropped/op")
	})
}

func benchmarkDecision(b *testing.B, s *sidecar) {
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/v1/data/p/allow", strings.NewReader(`{"input":{"user":"alice","method":"GET"}}`))
		r.Host, r.RemoteAddr = "127.0.0.1", "127.0.0.1:1"
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body.String())
		}
	}
}
