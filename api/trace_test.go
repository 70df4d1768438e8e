package api_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"defenseclaw/api"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"
)

func TestADecisionJoinsTheTraceOfItsCaller(t *testing.T) {
	var mu sync.Mutex
	var sent bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.Copy(&sent, r.Body)
	}))
	defer collector.Close()
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	m, err := metrics.New(metrics.Config{Routes: api.Routes()})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, domains, func(c *api.Config, _ *engine.Config) { c.Metrics = m })
	const trace = "0123456789abcdef0123456789abcdef"
	s.expect("POST", "/v1/data/p/x", `{"input":{"x":1}}`, 200, `"result":1`, "Traceparent: 00-"+trace+"-0123456789abcdef-01")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Run(ctx); err != nil { // exports what there is
		t.Fatal(err)
	}
	id, err := hex.DecodeString(trace)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !bytes.Contains(sent.Bytes(), id) || !bytes.Contains(sent.Bytes(), []byte("policy.decide")) {
		t.Errorf("no span of the trace %s was exported in %d bytes", trace, sent.Len())
	}
}
