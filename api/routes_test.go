package api

import (
	"io/fs"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/api/gate"

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

func TestEveryRouteNeedsExactlyOneScope(t *testing.T) {
	for _, r := range (&Server{}).table() {
		want := 1
		if r.access == gate.Open { // a probe
			want = 0
		}
		if bits.OnesCount8(uint8(r.scope)) != want {
			t.Errorf("%s needs the scopes %q; want %d of them", r.pattern, r.scope, want)
		}
	}
}

// Every route is asked with a token of each scope: only that of its row lets the request reach the handler.
func TestATokenDoesWhatItWasMadeForAndNothingElse(t *testing.T) {
	all := append(gate.ScopeNames(), "decide,read,query,change")
	s, err := New(Config{
		Token: "t", BindHost: "127.0.0.1", Source: func() (fs.FS, error) { return fstest.MapFS{}, nil }, RequestsPerSecond: 1e6,
		FindToken: func(d gate.Digest) (gate.Token, bool) {
			for _, names := range all {
				if d == gate.DigestOf(names) {
					scopes, err := gate.ParseScopes(strings.Split(names, ","))
					return gate.Token{Name: "made-for-" + names, Scopes: scopes}, err == nil
				}
			}
			return gate.Token{}, false
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := append(s.table(), route{pattern: "/no/such/route"})
	for _, row := range rows {
		if row.writing != 0 { // and once more as the route that its other methods are
			row.scope, row.writing, row.methods = row.writing, 0, row.methods[len(get):]
			rows = append(rows, row)
		}
	}
	for _, row := range rows {
		for _, names := range all {
			method := http.MethodPost
			if row.methods != nil {
				method = row.methods[0]
			}
			path := strings.NewReplacer("{path...}", "p/x", "{$}", "", "{list}", "block").Replace(row.pattern)
			r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, http.NoBody)
			r.Header.Set("Authorization", "Bearer "+names)
			r.Header.Set(gate.HeaderClient, "test")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			scopes, _ := gate.ParseScopes(strings.Split(names, ","))
			refused, may := w.Code == http.StatusForbidden, scopes.Has(row.scope)
			named := strings.Contains(w.Body.String(), "made-for-"+names) && strings.Contains(w.Body.String(), `\"`+row.scope.String()+`\"`)
			if refused == may || refused && !named {
				t.Errorf("%s %s with %q is answered %d %s", method, path, names, w.Code, w.Body)
			}
		}
	}
}
