package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"defenseclaw/engine/corpus"
)

// BenchmarkDataDecision is one decision over OPA's API from request to answer, without the network.
func BenchmarkDataDecision(b *testing.B) {
	files, questions := corpus.Small()
	srv := start(b, files, nil)
	q := questions[0]
	body := `{"input":` + q.Input + `}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/data/"+q.Path, strings.NewReader(body))
		r.Host = "127.0.0.1"
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
