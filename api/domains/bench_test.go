package domains_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/policies"
)

// BenchmarkGuardrail asks the embedded pack about two scanners' results.
func BenchmarkGuardrail(b *testing.B) {
	g, err := engine.Load(b.Context(), policies.FS(), nil)
	if err != nil {
		b.Fatal(err)
	}
	var verdicts []string
	a := create(g, &verdicts)
	const body = `{"evaluation_id":"e","direction":"prompt","mode":"action","model":"m","scanner_mode":"both","content_length":80,` +
		`"local_result":{"action":"alert","severity":"HIGH","findings":["a","b"],"reason":"r"},` +
		`"cisco_result":{"action":"allow","severity":"NONE","findings":[],"reason":"","is_safe":true}}`
	b.ReportAllocs()
	for b.Loop() {
		verdicts = verdicts[:0]
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/", strings.NewReader(body))
		if err := a.Guardrail(httptest.NewRecorder(), r); err != nil {
			b.Fatal(err)
		}
	}
}
