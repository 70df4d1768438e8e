package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/corpus"
)

// BenchmarkRecordedDecision is BenchmarkDataDecision with a recorder, in turns with a server that has none: times-without is
// the median of what it takes compared with that (1.01 to 1.03 on a busy machine: go test ./api -run '^$' -bench RecordedDecision -count 5).
func BenchmarkRecordedDecision(b *testing.B) {
	files, questions := corpus.Small()
	r := recordingOf(b)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	with := start(b, files, func(c *api.Config, _ *engine.Config) { c.Recorder = r })
	without := start(b, files, nil)
	q := questions[0]
	body := `{"input":` + q.Input + `}`
	const each = 50
	ask := func(srv *sidecar) time.Duration {
		begun := time.Now()
		for range each {
			r := httptest.NewRequest(http.MethodPost, "/v1/data/"+q.Path, strings.NewReader(body))
			r.Host, r.RemoteAddr = "127.0.0.1", "127.0.0.1:1"
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			if srv.ServeHTTP(w, r); w.Code != http.StatusOK {
				b.Fatal(w.Body)
			}
		}
		return time.Since(begun)
	}
	for range 40 { // until programs decide, and the recorder has what it wants of this kind
		ask(with)
		ask(without)
	}
	var ratios []float64
	for b.Loop() {
		ratios = append(ratios, float64(ask(with))/float64(ask(without)))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "times-without")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
