package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The shortcut past the mux takes the route that the mux would take.
func TestADecisionIsRoutedAsTheMuxRoutesIt(t *testing.T) {
	mux := http.NewServeMux()
	for _, r := range (&Server{}).table() {
		mux.Handle(r.pattern, http.NotFoundHandler())
	}
	if r := (&http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/v1/data/a/b"}}); !isDataDecision(r) {
		t.Error("a plain decision asks the mux")
	}
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"v1", "data", "v0", "policies", "a", "b c", "", ".", "..", "...", ".a", "%2e%2e", "%2F", "%2f", "a%2Fb", "%22", "é"})
		parts := append([]string{""}, rapid.SampledFrom([][]string{{}, {"v1", "data"}, {"v1", "data", "a"}, {"v1%2Fdata"}, {"v1", "%64ata"}}).Draw(t, "begin")...)
		text := strings.Join(append(parts, rapid.SliceOfN(part, 0, 4).Draw(t, "parts")...), "/")
		u, err := url.ParseRequestURI(text)
		if err != nil {
			return
		}
		r := &http.Request{Method: rapid.SampledFrom([]string{"POST", "POST", "GET", "CONNECT"}).Draw(t, "method"), URL: u, Host: "127.0.0.1"}
		if !isDataDecision(r) {
			return
		}
		if _, pattern := mux.Handler(r); pattern != dataPattern {
			t.Fatalf("%s %s is a decision without the mux, and %q with it", r.Method, text, pattern)
		}
	})
}
