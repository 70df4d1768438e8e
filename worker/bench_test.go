package worker_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/policies"
	"defenseclaw/worker"
)

// BenchmarkIsolation makes one decision of the embedded pack after the other, here and in a process, and a round trip
// that evaluates nothing.
func BenchmarkIsolation(b *testing.B) {
	g, err := engine.Load(b.Context(), policies.FS(), nil)
	if err != nil {
		b.Fatal(err)
	}
	p, err := worker.New(worker.Config{Current: func() *engine.Generation { return g }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	path := engine.Path{"defenseclaw", "firewall"}
	input, err := engine.ParseJSON([]byte(`{"target_type":"skill","destination":"example.com","port":443,"protocol":"tcp"}`))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("here", func(b *testing.B) {
		for b.Loop() {
			if _, err := g.Evaluate(b.Context(), path, input); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("process", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Evaluate(b.Context(), g, path, input, false); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("roundtrip", func(b *testing.B) {
		for b.Loop() {
			response, err := p.RoundTrip(g, httptest.NewRequest(http.MethodGet, "/pid", nil))
			if err != nil {
				b.Fatal(err)
			}
			response.Body.Close()
		}
	})
}
