package metrics

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	collectmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collecttraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// collector is an OpenTelemetry collector that keeps what it was sent.
type collector struct {
	collecttraces.UnimplementedTraceServiceServer
	mu       sync.Mutex
	metrics  map[string]*metricsv1.Metric
	spans    []*tracev1.Span
	resource map[string]string
}

// listen serves OTLP over HTTP and gives its address.
func (c *collector) listen(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/metrics", func(_ http.ResponseWriter, r *http.Request) {
		var request collectmetrics.ExportMetricsServiceRequest
		decode(t, r, &request)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.metrics = map[string]*metricsv1.Metric{}
		for _, rm := range request.GetResourceMetrics() {
			c.resource = values(rm.GetResource().GetAttributes())
			for _, sm := range rm.GetScopeMetrics() {
				for _, m := range sm.GetMetrics() {
					c.metrics[m.GetName()] = m
				}
			}
		}
	})
	mux.HandleFunc("POST /v1/traces", func(_ http.ResponseWriter, r *http.Request) {
		var request collecttraces.ExportTraceServiceRequest
		decode(t, r, &request)
		_, _ = c.Export(r.Context(), &request)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// Export is the gRPC service's, and where both kinds of traces end.
func (c *collector) Export(_ context.Context, request *collecttraces.ExportTraceServiceRequest) (*collecttraces.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range request.GetResourceSpans() {
		c.resource = values(rs.GetResource().GetAttributes())
		for _, ss := range rs.GetScopeSpans() {
			c.spans = append(c.spans, ss.GetSpans()...)
		}
	}
	return &collecttraces.ExportTraceServiceResponse{}, nil
}

func (c *collector) span(t *testing.T, name string) *tracev1.Span {
	t.Helper()
	for _, s := range c.spans {
		if s.GetName() == name {
			return s
		}
	}
	t.Fatalf("no span %s among %v", name, c.spans)
	return nil
}

func decode(t *testing.T, r *http.Request, into proto.Message) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(r.Body); err != nil {
			t.Error(err)
			return
		}
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	if err := proto.Unmarshal(b, into); err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
}

func values(attributes []*commonv1.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range attributes {
		out[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return out
}

// clean takes every variable of OpenTelemetry's out of the environment.
func clean(t *testing.T) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

// end runs m to its end.
func end(t *testing.T, m *Metrics) error {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return m.Run(ctx)
}

func TestNothingIsSentUnlessTheEnvironmentAsks(t *testing.T) {
	const address = "http://127.0.0.1:4318"
	for _, c := range []struct {
		name            string
		environment     map[string]string
		traces, metrics bool
	}{
		{name: "nothing said"},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": address}, true, true},
		{"an endpoint for traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": address + "/v1/traces"}, true, false},
		{"an endpoint for metrics", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": address + "/v1/metrics"}, false, true},
		{"exporters named", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"}, true, true},
		{"one taken back", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_METRICS_EXPORTER": "none"}, true, false},
		{"all taken back", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_SDK_DISABLED": "TRUE"}, false, false},
		{"a setting that names no place", map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, false, false},
		{"a Unix socket", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "unix:///run/otel.sock"}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			clean(t)
			for name, value := range c.environment {
				t.Setenv(name, value)
			}
			for signal, want := range map[string]bool{"TRACES": c.traces, "METRICS": c.metrics} {
				if got, err := requested(signal); err != nil || got != want {
					t.Errorf("%s: %v, %v", signal, got, err)
				}
			}
		})
	}
}

func TestAnInvalidVariableIsNamed(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT":         "localhost:4318",
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://[::1",
		"OTEL_TRACES_EXPORTER":                "pigeon",
		"OTEL_METRICS_EXPORTER":               "pigeon",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL":  "pigeon",
		"OTEL_EXPORTER_OTLP_PROTOCOL":         "pigeon",
		"OTEL_RESOURCE_ATTRIBUTES":            "no equals sign",
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			if strings.HasSuffix(name, "PROTOCOL") {
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
			}
			t.Setenv(name, value)
			m, err := New(Config{})
			if err == nil {
				t.Fatalf("%s=%s was accepted: %v", name, value, end(t, m))
			}
			if !strings.Contains(err.Error(), name) {
				t.Errorf("the error does not name %s: %v", name, err)
			}
		})
	}
}

func TestACollectorGetsTheMetricsByTheirOwnNames(t *testing.T) {
	clean(t)
	var c collector
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.listen(t))
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	t.Setenv("OTEL_SERVICE_NAME", "edge-7")
	m := create(t, Config{Version: "1.2.3", Routes: []string{"/policy/reload"}, Snapshot: func() Snapshot { return Snapshot{Generation: 7} }})
	m.ReloadDone(t.Context(), Reload{Trigger: "watch", Status: StatusSuccess, Start: time.Now()})
	m.latency.observe(t.Context(), 3*time.Millisecond, DomainFirewall)
	if err := end(t, m); err != nil {
		t.Fatal(err)
	}

	if c.resource["service.name"] != "edge-7" || c.resource["service.version"] != "1.2.3" {
		t.Errorf("resource %v", c.resource)
	}
	for _, row := range m.table() {
		got, ok := c.metrics[row.name]
		if row.kind == histogram && !ok && row.name != policyLatency {
			continue // nothing was timed
		}
		if !ok || got.GetUnit() != row.unit || got.GetDescription() != row.help {
			t.Errorf("%s: sent %v", row.name, got)
		}
	}
	counts := map[string]int64{}
	for _, p := range c.metrics[policyReloads].GetSum().GetDataPoints() {
		counts[values(p.GetAttributes())["policy.status"]] = p.GetAsInt()
	}
	if len(counts) != 2 || counts["success"] != 1 || counts["failed"] != 0 {
		t.Errorf("reloads %v", counts)
	}
	if p := c.metrics[policyLatency].GetHistogram().GetDataPoints(); len(p) != 1 || p[0].GetSum() != 3 || p[0].GetExplicitBounds()[0] != .01 {
		t.Errorf("latency in milliseconds: %v", p)
	}
	if p := c.metrics["defenseclaw.policy.generation"].GetGauge().GetDataPoints(); len(p) != 1 || p[0].GetAsDouble() != 7 {
		t.Errorf("generation %v", p)
	}
	if len(c.spans) != 0 {
		t.Errorf("unexpected spans: %v", c.spans)
	}
}

// attempt is one with all its phases.
func attempt(start time.Time) Reload {
	r := Reload{Trigger: "watch", Status: StatusSuccess, Start: start, Generation: 7, Revision: "sha256:abc"}
	for i, name := range []string{"read", "parse", "compile", "check", "swap", "announce"} {
		r.Phases = append(r.Phases, Phase{Name: name, Start: start.Add(time.Duration(i) * time.Second), Duration: time.Second})
	}
	r.Duration = time.Duration(len(r.Phases)) * time.Second
	return r
}

func TestACollectorGetsAReloadWithItsPhases(t *testing.T) {
	clean(t)
	var c collector
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.listen(t)+"/v1/traces")
	m := create(t, Config{})
	start := time.Unix(1_700_000_000, 0)
	m.TraceReload(t.Context(), attempt(start))
	if err := end(t, m); err != nil {
		t.Fatal(err)
	}

	whole := c.span(t, "policy.reload")
	if got := values(whole.GetAttributes()); got["policy.trigger"] != "watch" || got["policy.status"] != "success" || got["policy.revision"] != "sha256:abc" {
		t.Errorf("attributes %v", got)
	}
	if whole.GetStartTimeUnixNano() != uint64(start.UnixNano()) || whole.GetEndTimeUnixNano() != uint64(start.Add(6*time.Second).UnixNano()) {
		t.Errorf("times %v", whole)
	}
	for i, name := range []string{"read", "parse", "compile", "check", "swap", "announce"} {
		phase := c.span(t, "policy.reload."+name)
		begin := start.Add(time.Duration(i) * time.Second)
		if !slices.Equal(phase.GetParentSpanId(), whole.GetSpanId()) || !slices.Equal(phase.GetTraceId(), whole.GetTraceId()) ||
			phase.GetStartTimeUnixNano() != uint64(begin.UnixNano()) || phase.GetEndTimeUnixNano() != uint64(begin.Add(time.Second).UnixNano()) {
			t.Errorf("%s: %v", name, phase)
		}
	}
	if c.resource["service.name"] != "defenseclaw-gateway" {
		t.Errorf("resource %v", c.resource)
	}
}

func TestATraceSaysWhatWentWrong(t *testing.T) {
	clean(t)
	var c collector
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.listen(t)+"/v1/traces")
	m := create(t, Config{})
	m.TraceReload(t.Context(), Reload{Trigger: "api", Status: StatusFailed, Start: time.Now(), Error: "a.rego:3: unexpected token",
		Phases: []Phase{{Name: "parse", Start: time.Now(), Error: "1 error"}}})
	_, d := m.StartDecision(t.Context(), DomainAdmission, 3, time.Time{})
	d.End(VerdictError)
	if err := end(t, m); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"policy.reload": "a.rego:3: unexpected token", "policy.reload.parse": "1 error", "policy.decide": "the evaluation failed",
	} {
		if got := c.span(t, name).GetStatus(); got.GetCode() != tracev1.Status_STATUS_CODE_ERROR || got.GetMessage() != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestADecisionIsPartOfItsCallersTrace(t *testing.T) {
	clean(t)
	var c collector
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.listen(t)+"/v1/traces")
	m := create(t, Config{})
	ctx := m.Continue(t.Context(), http.Header{"Traceparent": {"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}})
	inner, d := m.StartDecision(ctx, DomainFirewall, 7, time.Time{})
	if !trace.SpanFromContext(inner).IsRecording() {
		t.Error("the evaluation does not run within the decision's span")
	}
	d.End("deny")
	exemplars, _ := scrape(t, m, "application/openmetrics-text; version=1.0.0")
	if err := end(t, m); err != nil {
		t.Fatal(err)
	}
	span := c.span(t, "policy.decide")
	if got := trace.TraceID(span.GetTraceId()).String(); got != "0123456789abcdef0123456789abcdef" {
		t.Errorf("trace %s", got)
	}
	if got := values(span.GetAttributes()); got["policy.domain"] != DomainFirewall || got["policy.verdict"] != "deny" {
		t.Errorf("attributes %v", got)
	}
	if !strings.Contains(exemplars, `trace_id="0123456789abcdef0123456789abcdef"`) {
		t.Error("the latency does not refer to the trace")
	}
}

func TestACollectorMaySpeakGRPC(t *testing.T) {
	clean(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var c collector
	server := grpc.NewServer()
	collecttraces.RegisterTraceServiceServer(server, &c)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	defer serving.Wait()
	defer server.Stop()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"+listener.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
	m := create(t, Config{})
	m.TraceReload(t.Context(), attempt(time.Now()))
	if err := end(t, m); err != nil {
		t.Fatal(err)
	}
	c.span(t, "policy.reload.swap")
}

func TestWithoutAnExportTracesCostNothing(t *testing.T) {
	clean(t)
	m := create(t, Config{})
	header := http.Header{"Traceparent": {"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}}
	r := attempt(time.Now())
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		inner := m.Continue(ctx, header)
		m.TraceReload(inner, r)
		if inner != ctx {
			t.Error("a context of its own")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, span := m.tracer.Start(ctx, "x"); span.IsRecording() {
		t.Error("the tracer records")
	}
	if err := end(t, m); err != nil {
		t.Error(err)
	}
}

func TestAnUnreachableCollectorIsReportedAtTheEnd(t *testing.T) {
	clean(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.URL)
	gone.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	var mu sync.Mutex
	var reported []string
	m := create(t, Config{OnError: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reported = append(reported, err.Error())
	}})
	everything(t.Context(), m)
	expect(t, m, `defenseclaw_policy_reloads_total{policy_status="success"} 1`)
	if err := end(t, m); err == nil || !strings.Contains(err.Error(), "export the last metrics") {
		t.Errorf("Run: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.ContainsFunc(reported, func(s string) bool { return strings.Contains(s, "/v1/traces") }) {
		t.Errorf("reported %v", reported)
	}
}

func TestASilentCollectorDelaysTheEndByTheFlushTimeoutAtMost(t *testing.T) {
	clean(t)
	hung := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	defer server.Close()
	defer close(hung) // after the end: where that waited for an answer, this test would never end
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	m := create(t, Config{OnError: func(error) {}})
	m.flush = 50 * time.Millisecond
	everything(t.Context(), m)
	if err := end(t, m); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run: %v", err)
	}
}
