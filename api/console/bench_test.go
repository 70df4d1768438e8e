package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/recorder"
	"defenseclaw/engine/corpus"
)

// The console that is measured: its Timeline has a thousand attempts that served, and as many that were refused.
const (
	manyServed, manyRefused = 1000, 1000
	manyDecisions           = 10_000 // recorded, or very nearly: the bound of the recorder
)

// BenchmarkFirstPage makes each page as the first request of a browser does. cpu-ms is the time that the whole process had of the
// processors for one page, KB what was sent.
func BenchmarkFirstPage(b *testing.B) {
	s, decision := busySite(b)
	browser := s.signedIn()
	for _, page := range pagesOf(decision) {
		b.Run(page[0], func(b *testing.B) { browser.measure(b, page[1], nil) })
	}
}

// pagesOf are the names of the pages with their addresses.
func pagesOf(decision string) [][2]string {
	return [][2]string{
		{"Now", "/console/"},
		{"Timeline", "/console/timeline"},
		{"Decisions", "/console/decisions"},
		{"Search", "/console/decisions?text=nowhere"},
		{"Decision", decision},
		{"Try", "/console/try"},
		{"Policy", "/console/policy"},
		{"Compare", "/console/compare?from=serving&to=disk"},
	}
}

// BenchmarkLargePolicy makes pages of a policy of 10,000 modules that has just changed, so that nothing of it is known yet.
func BenchmarkLargePolicy(b *testing.B) {
	files := corpus.Tenants(10_000)
	s := open(b, files)
	browser := s.signedIn()
	version := 0
	for _, page := range [][2]string{
		{"Now", "/console/"},
		{"Try", "/console/try"},
		{"Policy", "/console/policy"},
		{"Search", "/console/policy?q=tenant09999"},
		{"File", "/console/policy?file=" + url.QueryEscape(corpus.TenantPath(7))},
	} {
		b.Run(page[0], func(b *testing.B) {
			browser.measure(b, page[1], func() {
				version++
				files[corpus.TenantPath(0)] = corpus.Tenant(0, version)
				s.write(files)
				browser.post("/console/reload")
				runtime.GC() // what the reload left is not the page's
			})
		})
	}
}

// busySite is a console with a long past.
func busySite(b *testing.B) (s *site, decision string) {
	b.Helper()
	past := served(b, manyServed)
	log := refusals(b)
	policy := "package p\n\nimport rego.v1\n\n"
	for n := range 50 {
		policy += fmt.Sprintf("# rule %[1]d\nr%[1]d contains x if {\n\tsome x in input.list\n\tx > %[1]d\n}\n\n", n)
	}
	s, r := recording(b, map[string]string{"p.rego": policy + "answer[n] := input.size > 7 if some n in [input.n]\n"},
		func(c *api.Config) { c.Past, c.Audit = past, log })
	fill(b, s, r)
	return s, opened(b, second(s.signedIn().get("/console/decisions")))
}

// fill makes decisions until about as many are recorded as the recorder keeps: eight of each path and result.
func fill(b *testing.B, s *site, r *recorder.Recorder) {
	b.Helper()
	const ofPath = 16
	for path := 0; r.Health().Records < manyDecisions-ofPath; path++ {
		if path > manyDecisions/2 {
			b.Fatalf("%d are recorded", r.Health().Records)
		}
		ask := s.keptOpen(b, fmt.Sprintf("p/answer/%d", path))
		for n := range ofPath {
			ask(fmt.Sprintf(`{"n":"%d","size":%d,"user":{"name":"somebody-%d","groups":["one","two"]},"request":"%s"}`, path, n, n, strings.Repeat("text ", 40)))
		}
	}
	if n := r.Health().Records; n < manyDecisions*9/10 {
		b.Fatalf("%d are recorded", n)
	}
}

// refusals is an audit log of attempts that were refused.
func refusals(b *testing.B) *audit.Log {
	b.Helper()
	log, err := audit.New(audit.Config{Path: filepath.Join(b.TempDir(), "audit.db")})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	details, err := json.Marshal(map[string]any{"trigger": "watch", "changed": []string{"p.rego"}, "error": "p.rego:3: rego_parse_error: unexpected := token"})
	if err != nil {
		b.Fatal(err)
	}
	for n := range manyRefused {
		if err := log.Append(b.Context(), audit.Record{
			Action: audit.ActionPolicyReload, Outcome: audit.OutcomeFailed, Target: "pol", Details: details, Message: fmt.Sprintf("attempt %d", n),
		}); err != nil {
			b.Fatal(err)
		}
	}
	return log
}

// measure makes a page again and again, each time after before, without a network.
func (b *browser) measure(m *testing.B, address string, before func()) {
	m.Helper()
	size, processors := 0, time.Duration(0)
	for m.Loop() {
		if before != nil {
			m.StopTimer()
			before()
			m.StartTimer()
		}
		begun := processorTime(m)
		status, page := b.ask(address)
		processors += processorTime(m) - begun
		if size = len(page); status != http.StatusOK || !strings.Contains(page, "</html>") {
			m.Fatalf("%s: %d\n%s", address, status, page)
		}
	}
	m.ReportMetric(float64(processors.Microseconds())/1000/float64(m.N), "cpu-ms")
	m.ReportMetric(float64(size)/1000, "KB")
}

// ask gets a page from the server itself.
func (b *browser) ask(address string) (int, string) {
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+address, nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("User-Agent", "Mozilla/5.0")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, cookie := range b.client.Jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}
