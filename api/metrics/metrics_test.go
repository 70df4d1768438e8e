package metrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func create(t *testing.T, cfg Config) *Metrics {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scrape asks a server of m for its metrics, as Prometheus does.
func scrape(t *testing.T, m *Metrics, accept string) (body, contentType string) {
	t.Helper()
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s\n%s", response.Status, b)
	}
	return string(b), response.Header.Get("Content-Type")
}

// expect requires every line to be in the scrape.
func expect(t *testing.T, m *Metrics, lines ...string) {
	t.Helper()
	body, _ := scrape(t, m, "")
	have := strings.Split(body, "\n")
	for _, line := range lines {
		if !slices.Contains(have, line) {
			t.Errorf("the scrape has no line\n  %s", line)
			name, _, _ := strings.Cut(line, "{")
			for _, h := range have {
				if strings.HasPrefix(h, name) {
					t.Log("it has", h)
				}
			}
		}
	}
}

// everything makes each kind of happening happen.
func everything(ctx context.Context, m *Metrics) {
	start := time.Now()
	m.ReloadDone(ctx, Reload{Trigger: "watch", Status: StatusSuccess, Start: start, Duration: 3 * time.Millisecond})
	m.ReloadDone(ctx, Reload{Trigger: "api", Status: StatusFailed, Start: start, Duration: time.Second})
	_, d := m.StartDecision(ctx, DomainAdmission, 1, time.Time{})
	m.Admission(ctx, "skill", "blocked", d.End("blocked"))
	m.CacheHit("pii", "block")
	m.CacheMiss("injection")
	m.JudgeCall(ctx, "injection", "alert", "MEDIUM", 700*time.Millisecond)
	m.JudgeCall(ctx, "exfil", VerdictError, "NONE", 30*time.Second)
	m.JudgeError("exfil", "timeout")
	m.Request("/policy/reload", http.StatusOK)
}

func TestTheContractsCounterStartsAtZero(t *testing.T) {
	expect(t, create(t, Config{}),
		`# TYPE defenseclaw_policy_reloads_total counter`,
		`defenseclaw_policy_reloads_total{policy_status="success"} 0`,
		`defenseclaw_policy_reloads_total{policy_status="failed"} 0`)
}

func TestPredeclaredSeriesStartAtZero(t *testing.T) {
	m := create(t, Config{Routes: []string{"/policy/reload"}})
	body, _ := scrape(t, m, "")
	for _, row := range m.table() {
		name, suffix := scrapedName(t, row), ""
		if row.kind == histogram {
			suffix = "_count"
		}
		if row.name == "defenseclaw.build.info" { // the table declares no values of its labels
			continue
		}
		for values := range row.combinations(false) {
			var pairs []string
			for i := range row.width() {
				pairs = append(pairs, fmt.Sprintf("%s=%q", promLabel(row.labels[0][i].key), values[i]))
			}
			slices.Sort(pairs)
			line := "\n" + name + suffix + " 0\n"
			if len(pairs) > 0 {
				line = "\n" + name + suffix + "{" + strings.Join(pairs, ",") + "} 0\n"
			}
			if !strings.Contains(body, line) {
				t.Errorf("the scrape has no %s", line)
			}
		}
	}
	if strings.Contains(body, `="`+other+`"`) {
		t.Error("a series with the label value other is present before an undeclared value was counted")
	}
}

// scrapedName is the name that a scrape shows.
func scrapedName(t *testing.T, row instrument) string {
	t.Helper()
	name, err := prometheusName(row)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(name, "milliseconds", "seconds", 1)
}

func TestPromtoolHasNothingToSay(t *testing.T) {
	m := create(t, Config{Routes: []string{"/policy/reload"}})
	for _, when := range []string{"at the start", "after use"} {
		body, _ := scrape(t, m, "")
		problems, err := promlint.New(strings.NewReader(body)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", when, p.Metric, p.Text)
		}
		everything(t.Context(), m)
	}
}

func TestAScrapeSpeaksOfNothingButTheSidecar(t *testing.T) {
	m := create(t, Config{})
	everything(t.Context(), m)
	body, _ := scrape(t, m, "")
	for line := range strings.Lines(body) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if !strings.HasPrefix(name, "defenseclaw_") && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s", line)
		}
		if strings.Contains(line, "otel_") {
			t.Errorf("a label of OpenTelemetry's own: %s", line)
		}
	}
	for _, name := range []string{"\ngo_goroutines ", "\nprocess_start_time_seconds "} {
		if !strings.Contains(body, name) {
			t.Errorf("no %s", name)
		}
	}
}

func TestAReloadIsCountedByHowItEnded(t *testing.T) {
	m := create(t, Config{})
	at := time.Unix(1_700_000_000, 0)
	m.ReloadDone(t.Context(), Reload{Trigger: "watch", Status: StatusSuccess, Start: at, Duration: 1500 * time.Millisecond})
	expect(t, m,
		`defenseclaw_policy_reloads_total{policy_status="success"} 1`,
		`defenseclaw_policy_reload_duration_seconds_bucket{policy_status="success",policy_trigger="watch",le="1"} 0`,
		`defenseclaw_policy_reload_duration_seconds_bucket{policy_status="success",policy_trigger="watch",le="2.5"} 1`,
		`defenseclaw_policy_reload_duration_seconds_sum{policy_status="success",policy_trigger="watch"} 1.5`,
		`defenseclaw_policy_last_reload_successful 1`,
		`defenseclaw_policy_last_reload_success_timestamp_seconds 1.7000000015e+09`)

	m.ReloadDone(t.Context(), Reload{Trigger: "api", Status: StatusFailed, Start: at.Add(time.Hour)})
	expect(t, m,
		`defenseclaw_policy_reloads_total{policy_status="success"} 1`,
		`defenseclaw_policy_reloads_total{policy_status="failed"} 1`,
		`defenseclaw_policy_last_reload_successful 0`,
		`defenseclaw_policy_last_reload_success_timestamp_seconds 1.7000000015e+09`)

	m.ReloadDone(t.Context(), Reload{Trigger: "api", Status: StatusUnchanged, Start: at.Add(2 * time.Hour)})
	expect(t, m,
		`defenseclaw_policy_reloads_total{policy_status="success"} 2`,
		`defenseclaw_policy_reload_duration_seconds_count{policy_status="unchanged",policy_trigger="api"} 1`,
		`defenseclaw_policy_last_reload_successful 1`,
		`defenseclaw_policy_last_reload_success_timestamp_seconds 1.7000072e+09`)
}

func TestTimesAreInSeconds(t *testing.T) {
	m := create(t, Config{})
	m.latency.observe(t.Context(), 3*time.Millisecond, DomainFirewall)
	m.latency.observe(t.Context(), 20*time.Microsecond, DomainFirewall)
	expect(t, m,
		`defenseclaw_policy_latency_seconds_bucket{policy_domain="firewall",le="1e-05"} 0`,
		`defenseclaw_policy_latency_seconds_bucket{policy_domain="firewall",le="2.5e-05"} 1`,
		`defenseclaw_policy_latency_seconds_bucket{policy_domain="firewall",le="0.0025"} 1`,
		`defenseclaw_policy_latency_seconds_bucket{policy_domain="firewall",le="0.005"} 2`,
		`defenseclaw_policy_latency_seconds_bucket{policy_domain="firewall",le="1"} 2`,
		`defenseclaw_policy_latency_seconds_sum{policy_domain="firewall"} 0.00302`)
}

func TestADecisionIsCountedAndTimed(t *testing.T) {
	m := create(t, Config{})
	_, d := m.StartDecision(t.Context(), DomainAdmission, 7, time.Time{})
	took := d.End("rejected")
	m.Admission(t.Context(), "mcp", "rejected", took)
	m.Admission(t.Context(), "skill", "allowed", took)
	expect(t, m,
		`defenseclaw_policy_evaluations_total{policy_domain="admission",policy_verdict="rejected"} 1`,
		`defenseclaw_policy_latency_seconds_count{policy_domain="admission"} 1`,
		`defenseclaw_admission_decisions_total{decision="rejected",source="api",target_type="mcp"} 1`,
		`defenseclaw_admission_decisions_total{decision="allowed",source="api",target_type="skill"} 1`,
		`defenseclaw_slo_block_latency_seconds_count{target_type="mcp"} 1`,
		`defenseclaw_slo_block_latency_seconds_count{target_type="skill"} 0`)
}

func TestTheJudgeAndItsCacheAreCounted(t *testing.T) {
	m := create(t, Config{VerdictTTL: 100 * time.Millisecond})
	m.CacheHit("pii", "block")
	m.CacheMiss("pii")
	m.JudgeCall(t.Context(), "injection", "alert", "MEDIUM", 700*time.Millisecond)
	m.JudgeCall(t.Context(), "injection", VerdictError, "NONE", 2*time.Second)
	m.JudgeError("injection", "malformed")
	expect(t, m,
		`defenseclaw_guardrail_cache_hits_total{cache="verdict",scanner="llm-judge-pii",ttl_bucket="100ms",verdict="block"} 1`,
		`defenseclaw_guardrail_cache_misses_total{cache="verdict",scanner="llm-judge-pii",ttl_bucket="100ms",verdict="none"} 1`,
		`defenseclaw_gateway_judge_invocations_total{judge_action="alert",judge_kind="injection",judge_severity="MEDIUM"} 1`,
		`defenseclaw_gateway_judge_invocations_total{judge_action="error",judge_kind="injection",judge_severity="NONE"} 1`,
		`defenseclaw_gateway_judge_errors_total{judge_kind="injection",judge_reason="malformed"} 1`,
		`defenseclaw_gateway_judge_latency_seconds_count{judge_kind="injection"} 2`,
		`defenseclaw_gateway_judge_latency_seconds_bucket{judge_kind="injection",le="1"} 1`)
}

func TestATimeToLiveIsAShortLabel(t *testing.T) {
	for ttl, want := range map[time.Duration]string{
		30 * time.Second: "30s", 100 * time.Millisecond: "100ms", 5 * time.Minute: "5m", 90 * time.Second: "90s",
	} {
		if got := ttlBucket(ttl); got != want {
			t.Errorf("%v: %s, want %s", ttl, got, want)
		}
	}
}

func TestTheSnapshotIsWhatTheGaugesSay(t *testing.T) {
	m := create(t, Config{Version: "1.2.3", Snapshot: func() Snapshot {
		return Snapshot{
			State: "stale", Since: time.Now().Add(-time.Hour), Generation: 7,
			Watch: Watch{Mode: "poll", State: "root-missing", Directories: 3, Events: 12, Dropped: 2, LastScan: time.Unix(1_700_000_000, 5e8)},
			Audit: Audit{Written: 40, Lost: 1, Backlog: 5},
		}
	}})
	expect(t, m,
		`defenseclaw_policy_generation 7`,
		`defenseclaw_policy_state{policy_state="stale"} 1`,
		`defenseclaw_policy_state{policy_state="current"} 0`,
		`defenseclaw_watch_mode{watch_mode="poll"} 1`,
		`defenseclaw_watch_mode{watch_mode="notify"} 0`,
		`defenseclaw_watch_state{watch_state="root-missing"} 1`,
		`defenseclaw_watch_directories 3`,
		`defenseclaw_watch_events_total 12`,
		`defenseclaw_watch_events_dropped_total 2`,
		`defenseclaw_watch_last_scan_timestamp_seconds 1.7000000005e+09`,
		`defenseclaw_audit_events_total 40`,
		`defenseclaw_audit_lost_total 1`,
		`defenseclaw_audit_backlog 5`)
	body, _ := scrape(t, m, "")
	_, rest, _ := strings.Cut(body, "\ndefenseclaw_policy_stale_duration_seconds ")
	var seconds float64
	if _, err := fmt.Sscan(rest, &seconds); err != nil || seconds < 3600 {
		t.Errorf("stale for %v s: %v", seconds, err)
	}
	if !strings.Contains(body, `version="1.2.3"} 1`) {
		t.Error("no version")
	}
}

func TestOnlyWhatIsBehindTheDirectoryIsStale(t *testing.T) {
	now := time.Now()
	for state, want := range map[string]time.Duration{
		"current": 0, "embedded": 0, "stale": time.Minute, "restored": time.Minute, "empty": time.Minute,
	} {
		m := &moment{Snapshot: Snapshot{State: state, Since: now.Add(-time.Minute)}, time: now}
		if got := m.stale(); got != want {
			t.Errorf("%s: stale for %v, want %v", state, got, want)
		}
	}
	if got := (&moment{Snapshot: Snapshot{State: "stale", Since: now.Add(time.Hour)}, time: now}).stale(); got != 0 {
		t.Errorf("the clock was set back: stale for %v", got)
	}
}

func TestUndeclaredLabelValuesCountAsOther(t *testing.T) {
	m := create(t, Config{Routes: []string{"/policy/status"}})
	count := func() int {
		body, _ := scrape(t, m, "")
		return strings.Count(body, "\ndefenseclaw_")
	}
	strange := func(i int) {
		ctx, s := t.Context(), fmt.Sprintf("strange-%d", i)
		_, d := m.StartDecision(ctx, s, 1, time.Time{})
		d.End(s)
		_, d = m.StartDecision(ctx, DomainFirewall, 1, time.Time{})
		d.End(s)
		m.Admission(ctx, s, s, time.Second)
		m.Admission(ctx, s, "blocked", time.Second)
		m.Request(s, 299+i)
		m.Request("/policy/status", 299+i)
		m.CacheHit(s, s)
		m.CacheMiss(s)
		m.JudgeCall(ctx, s, s, s, time.Second)
		m.JudgeError(s, s)
		m.ReloadDone(ctx, Reload{Trigger: s, Status: s, Start: time.Now()})
	}
	strange(0)
	before := count()
	for i := range 50 {
		strange(i + 1)
	}
	if after := count(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	expect(t, m,
		`defenseclaw_policy_evaluations_total{policy_domain="firewall",policy_verdict="other"} 51`,
		`defenseclaw_policy_evaluations_total{policy_domain="other",policy_verdict="other"} 51`,
		`defenseclaw_admission_decisions_total{decision="blocked",source="api",target_type="other"} 51`,
		`defenseclaw_http_requests_total{code="other",route="/policy/status"} 51`,
		`defenseclaw_gateway_judge_errors_total{judge_kind="other",judge_reason="other"} 51`)
}

func TestARequestIsCountedByRouteAndCode(t *testing.T) {
	m := create(t, Config{Routes: []string{"/policy/reload", "/v1/data/{path...}"}})
	m.Request("/v1/data/{path...}", http.StatusOK)
	m.Request("/policy/reload", http.StatusUnauthorized)
	expect(t, m,
		`defenseclaw_http_requests_total{code="200",route="/v1/data/{path...}"} 1`,
		`defenseclaw_http_requests_total{code="401",route="/policy/reload"} 1`,
		`defenseclaw_http_requests_total{code="200",route="/policy/reload"} 0`)
}

func TestOpenMetricsIsSpokenWhenAsked(t *testing.T) {
	m := create(t, Config{})
	everything(t.Context(), m)
	body, kind := scrape(t, m, "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(kind, "application/openmetrics-text") || !strings.HasSuffix(body, "\n# EOF\n") {
		t.Errorf("%s, which ends %q", kind, body[max(0, len(body)-20):])
	}
	if !strings.Contains(body, "\n"+`defenseclaw_policy_reloads_total{policy_status="success"} 1.0`+"\n") {
		t.Error("the contract's counter is not in it")
	}
	_, kind = scrape(t, m, "")
	if !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("without asking: %s", kind)
	}
}

func TestABrokenSeriesDoesNotHideTheOthers(t *testing.T) {
	var reported []error
	var mu sync.Mutex
	m := create(t, Config{
		Routes:  []string{"not UTF-8: \xff"},
		OnError: func(err error) { mu.Lock(); defer mu.Unlock(); reported = append(reported, err) },
	})
	expect(t, m, `defenseclaw_policy_reloads_total{policy_status="success"} 0`)
	mu.Lock()
	defer mu.Unlock()
	if len(reported) == 0 || !strings.Contains(reported[0].Error(), "UTF-8") {
		t.Errorf("reported %v", reported)
	}
}

func TestWhatHappensAtOnceIsCountedInFull(t *testing.T) {
	m := create(t, Config{Routes: []string{"/policy/reload"}})
	const callers, calls = 8, 50
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				everything(t.Context(), m)
			}
		})
	}
	wg.Go(func() {
		for range 10 {
			if _, err := m.gatherer.Gather(); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	expect(t, m,
		`defenseclaw_policy_reloads_total{policy_status="success"} 400`,
		`defenseclaw_policy_evaluations_total{policy_domain="admission",policy_verdict="blocked"} 400`,
		`defenseclaw_policy_latency_seconds_count{policy_domain="admission"} 400`,
		`defenseclaw_http_requests_total{code="200",route="/policy/reload"} 400`)
}

func TestADecisionCostsNoAllocation(t *testing.T) {
	m := create(t, Config{})
	ctx := t.Context()
	for _, verdict := range []string{"allowed", "a custom verdict"} {
		if n := testing.AllocsPerRun(200, func() {
			_, d := m.StartDecision(ctx, DomainAdmission, 1, time.Time{})
			d.End(verdict)
		}); n != 0 {
			t.Errorf("a decision that is %q: %v allocations", verdict, n)
		}
	}
}

func BenchmarkDecision(b *testing.B) {
	m, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, d := m.StartDecision(ctx, DomainAdmission, 1, time.Time{})
			d.End("allowed")
		}
	})
}

func BenchmarkScrape(b *testing.B) {
	m, err := New(Config{Routes: []string{"/policy/reload", "/policy/status", "/v1/data"}})
	if err != nil {
		b.Fatal(err)
	}
	handler := m.Handler()
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
	}
}
