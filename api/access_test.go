package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/api/accesslog"
	"defenseclaw/engine"
)

// Every route that asks for a token says in its 401 how to present one.
func TestEachRefusalOfTheTokenSaysHowToPresentOne(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\n\nx := 1\n"}, func(c *api.Config, _ *engine.Config) { c.RequestsPerSecond = -1 })
	n := 0
	for _, pattern := range api.Routes() {
		path := strings.NewReplacer("{path...}", "p/x", "{$}", "").Replace(pattern)
		if strings.Contains(path, "{") {
			path = path[:strings.Index(path, "{")] + "x"
		}
		for _, method := range []string{"GET", "POST"} {
			status, answer, h := s.request(method, path, "", "Authorization: ", "X-DefenseClaw-Client: t")
			if status == http.StatusUnauthorized {
				n++
			}
			if got := h.Get("WWW-Authenticate"); (got == `Bearer realm="defenseclaw"`) != (status == http.StatusUnauthorized) {
				t.Errorf("%s %s: %d, WWW-Authenticate %q: %s", method, path, status, got, answer)
			}
		}
	}
	if n < 4 { // guesses are limited: the rest are 429
		t.Errorf("only %d answers are 401", n)
	}
}

func TestTheAccessLogSaysWhoAskedWhatAndNoSecrets(t *testing.T) {
	var b bytes.Buffer
	access, err := accesslog.New(accesslog.Config{Writer: &b, Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, map[string]string{"p.rego": "package p\n\nx := 1\n"}, func(c *api.Config, _ *engine.Config) { c.Access = access })
	s.request("POST", "/v1/data/p/x?pretty=query-secret", `{"input":"body-secret"}`, "X-Defenseclaw-Request-Id: mine")
	s.request("GET", "/nowhere", "")
	s.request("GET", "/v1/data/p/x", "", "Authorization: Bearer token-secret")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := access.Run(ctx); err != nil {
		t.Fatal(err)
	}
	var got []accesslog.Entry
	for line := range strings.Lines(b.String()) {
		var e accesslog.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if strings.Contains(b.String(), "secret") || len(got) < 3 {
		t.Fatal(b.String())
	}
	at := slices.IndexFunc(got, func(e accesslog.Entry) bool { return e.RequestID == "mine" })
	if at < 0 {
		t.Fatal(b.String())
	}
	if e := got[at]; e.Route != "/v1/data/{path...}" || e.Path != "/v1/data/p/x" || e.Status != 200 || e.Bytes == 0 || e.Caller != "default" || e.MS <= 0 || e.Address == "" {
		t.Errorf("%+v", e)
	}
	if e := got[at+1]; e.Status != 404 || e.Path != "/nowhere" {
		t.Errorf("%+v", e)
	}
	if e := got[at+2]; e.Status != 401 || e.Caller != "" || e.Route != "/v1/data/{path...}" {
		t.Errorf("%+v", e)
	}
}
