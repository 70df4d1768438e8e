package sidecar_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"defenseclaw/cmd/internal/testutil/opabundles"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"

	"go.uber.org/zap"
)

// service is a control plane as OPA's users have it: bundles, and what is posted to it.
type service struct {
	*httptest.Server
	mu      sync.Mutex
	bundles map[string]published // by path
	posted  map[string][]any     // by path
	admit   func(*http.Request) bool
	refused int // requests
}

type published struct {
	etag    string
	archive []byte
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{bundles: map[string]published{}, posted: map[string][]any{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admit != nil && !s.admit(r) {
		s.refused++
		http.Error(w, "who are you?", http.StatusForbidden)
		return
	}
	if r.Method == http.MethodPost {
		s.keep(w, r)
		return
	}
	b, ok := s.bundles[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", b.etag)
	if r.Header.Get("If-None-Match") == b.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(b.archive)
}

func (s *service) keep(w http.ResponseWriter, r *http.Request) {
	body := json.NewDecoder(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = json.NewDecoder(unpacked)
	}
	var v any
	if err := body.Decode(&v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.posted[r.URL.Path] = append(s.posted[r.URL.Path], v)
}

func (s *service) publish(t *testing.T, path, etag string, files ...[2]string) {
	t.Helper()
	archive := opabundles.Packed(t, files...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bundles[path] = published{etag, archive}
}

func (s *service) got(path string) []any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posted[path]
}

// fast polls as often as a test may.
const fast = "polling: {min_delay_seconds: 0, max_delay_seconds: 0}"

// configured is the environment of a sidecar with OPA's configuration.
func configured(t *testing.T, text string, more ...string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "opa.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{"DEFENSECLAW_OPA_CONFIG": file}
	for i := 0; i+1 < len(more); i += 2 {
		environment[more[i]] = more[i+1]
	}
	return environment
}

func clientFor(t *testing.T, set settings.Settings) *api.Client {
	t.Helper()
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func askFor(t *testing.T, client *api.Client, path string) string {
	t.Helper()
	answer, err := client.Data(t.Context(), strings.Split(path, "/"), nil, nil)
	switch {
	case err != nil:
		return err.Error()
	case answer.Result == nil:
		return "undefined"
	}
	return string(*answer.Result)
}

func TestOPAsConfigurationIsObeyed(t *testing.T) {
	web := newService(t)
	web.admit = func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer sesame" }
	web.publish(t, "/base/bundles/authz", `"1"`, opabundles.Manifest("a1", "http", "system/log"), [2]string{"a.rego", "package http.authz\n\nallow := data.roles.admin == input.user"},
		[2]string{"m.rego", "package system.log\n\nmask contains \"/input/password\""})
	web.publish(t, "/base/elsewhere/roles.tar.gz", `"1"`, opabundles.Manifest("r1", "roles"), [2]string{"roles/data.json", `{"admin": "alice"}`})
	set, _, _, _ := startWith(t, configured(t, `
services: {acme: {url: "`+web.URL+`/base/", credentials: {bearer: {token: "${BUNDLE_TOKEN}"}}}}
labels: {region: north}
bundles:
  authz: {service: acme, `+fast+`}
  roles: {resource: /elsewhere/roles.tar.gz, `+fast+`}
decision_logs: {partition_name: here, reporting: {min_delay_seconds: 0, max_delay_seconds: 0}}
default_decision: /http/authz/allow
`, "BUNDLE_TOKEN", "sesame"))
	client := clientFor(t, set)
	if s, err := client.Status(t.Context()); err != nil || s.State != "current" || s.Source.Bundles["authz"].Revision != "a1" || s.Source.Bundles["roles"].Revision != "r1" {
		t.Fatalf("%+v %v", s, err)
	}
	if got := askFor(t, client, "system/bundles/roles/manifest/revision"); got != `"r1"` {
		t.Error(got)
	}
	answer, err := client.Data(t.Context(), []string{"http", "authz", "allow"}, json.RawMessage(`{"user": "alice", "password": "x"}`), nil)
	if err != nil || answer.Result == nil || string(*answer.Result) != "true" {
		t.Errorf("%+v %v", answer, err)
	}
	var text []byte
	eventually(t, "the decision is sent", func() bool {
		text, err = json.Marshal(web.got("/base/logs/here"))
		return strings.Contains(string(text), "http/authz")
	})
	for _, want := range []string{`"region":"north"`, `"roles":{"revision":"r1"}`, `"authz":{"revision":"a1"}`, `"erased":["/input/password"]`} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s %v; %s was expected", text, err, want)
		}
	}
	web.publish(t, "/base/elsewhere/roles.tar.gz", `"2"`, opabundles.Manifest("r2", "roles"), [2]string{"roles/data.json", `{"admin": "bob"}`})
	eventually(t, "the new roles serve", func() bool { return askFor(t, client, "roles/admin") == `"bob"` })
	if web.refused > 0 {
		t.Error(web.refused, "requests had no token")
	}
}

func TestDataAloneIsServed(t *testing.T) {
	web := newService(t)
	web.publish(t, "/bundles/roles", `"1"`, [2]string{"roles/data.json", `{"admin": "alice"}`})
	set, _, _, _ := startWith(t, configured(t, `{services: {acme: {url: "`+web.URL+`"}}, bundles: {roles: {`+fast+`}}}`))
	if got := askFor(t, clientFor(t, set), "roles/admin"); got != `"alice"` {
		t.Error(got)
	}
}

func TestABundleMayBeAFileOfThisMachine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	if err := os.WriteFile(file, opabundles.Packed(t, policyOf("1")), 0o600); err != nil {
		t.Fatal(err)
	}
	set, _, _, _ := startWith(t, configured(t, `{bundles: {local: {resource: "file://`+file+`", `+fast+`}}}`))
	client := clientFor(t, set)
	if got := askFor(t, client, "p/x"); got != "1" {
		t.Fatal(got)
	}
	if err := os.WriteFile(file, opabundles.Packed(t, policyOf("22")), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new file serves", func() bool { return askFor(t, client, "p/x") == "22" })
}

// TestKeysOfOPAsConfigurationJudgeBundles has three bundles: one that has to be signed, one that may be, and must not be
// signed wrongly then, and one that was kept by an earlier run.
func TestKeysOfOPAsConfigurationJudgeBundles(t *testing.T) {
	web, home := newService(t), t.TempDir()
	web.publish(t, "/bundles/strict", `"1"`, signed(t, "authz", policyOf("1"))...)
	web.publish(t, "/bundles/free", `"1"`, opabundles.Manifest("", "q"), [2]string{"q.rego", "package q\n\nx := 1"})
	config := func(key string) map[string]string {
		return configured(t, `
services: {acme: {url: "`+web.URL+`"}}
keys: {ours: {algorithm: HS256, key: "`+key+`", scope: other}}
bundles:
  strict: {signing: {keyid: ours, scope: authz}, `+fast+`}
  free: {`+fast+`}
`, "DEFENSECLAW_HOME", home)
	}
	t.Run("the key is ours", func(t *testing.T) {
		web.publish(t, "/bundles/strict", `"1"`, append(signed(t, "authz", policyOf("1")), [2]string{"none.txt", ""})[:2]...)
		set, _, _, _ := startWith(t, config(opabundles.Secret))
		client := clientFor(t, set)
		if s, err := client.Status(t.Context()); err != nil || s.State != "empty" { // both say they own everything
			t.Fatal(s.State, err, askFor(t, client, "p/x"))
		}
		web.publish(t, "/bundles/strict", `"2"`, opabundles.Signed(t, "authz", opabundles.Manifest("s2", "p"), policyOf("2"))...)
		eventually(t, "the signed one serves", func() bool { return askFor(t, client, "p/x") == "2" })
		for etag, files := range map[string][][2]string{
			`"unsigned"`: {opabundles.Manifest("s3", "p"), policyOf("3")}, `"for another scope"`: opabundles.Signed(t, "other", opabundles.Manifest("s3", "p"), policyOf("3")),
		} {
			web.publish(t, "/bundles/strict", etag, files...)
			eventually(t, etag+" is refused", func() bool {
				s, err := client.Status(t.Context())
				return err == nil && s.Source.Bundles["strict"].ETag == etag && s.Source.Bundles["strict"].Refused != ""
			})
		}
		web.publish(t, "/bundles/free", `"wrong"`, opabundles.Signed(t, "authz", opabundles.Manifest("", "q"), [2]string{"q.rego", "package q\n\nx := 2"})...)
		eventually(t, "what is signed wrongly is refused", func() bool {
			s, err := client.Status(t.Context())
			return err == nil && s.Source.Bundles["free"].Refused != ""
		})
		if got := askFor(t, client, "p/x") + askFor(t, client, "q/x"); got != "21" {
			t.Error(got)
		}
	})
	web.Close()
	t.Run("it no longer is", func(t *testing.T) {
		set, _, _, _ := startWith(t, config("another secret that is long enough"))
		if got := askFor(t, clientFor(t, set), "p/x"); got == "2" {
			t.Error("a bundle serves that no trusted key signed")
		}
	})
}

func TestWhatOPAsConfigurationAsksForInVainRefusesTheStart(t *testing.T) {
	for text, want := range map[string]string{
		"services: {s: {url: 'https://x', credentials: {bearer: {token: x, token_path: y}}}}\nbundles: {b: {}}":  "service s: ",
		"services: {s: {url: 'https://x', tls: {ca_cert: /none}}}\nbundles: {b: {}}":                             "service s: ",
		"services: {s: {url: 'https://x'}}\nkeys: {k: {key: x, algorithm: HS256}}\nbundles: {b: {}}":             "keys.k of OPA's configuration: the secret has 1 bytes",
		"services: {s: {url: 'https://x', credentials: {oauth2: {token_url: 'x'}}}}\ndecision_logs: {}":          "decision_logs: service s: ",
		"services: {s: {url: 'https://x', credentials: {bearer: {token: x}, s3_signing: {}}}}\nbundles: {b: {}}": "a maximum one credential method",
	} {
		environment := configured(t, text, "DEFENSECLAW_HOME", t.TempDir(), "DEFENSECLAW_API_PORT", "0", "DEFENSECLAW_GATEWAY_TOKEN", token)
		set, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestBundlesAndADirectoryExcludeEachOther(t *testing.T) {
	environment := configured(t, "services: {s: {url: 'https://x'}}\nbundles: {b: {}}", "DEFENSECLAW_HOME", t.TempDir(), "DEFENSECLAW_POLICY_DIR", t.TempDir())
	_, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
	if err == nil || !strings.Contains(err.Error(), "DEFENSECLAW_POLICY_DIR is set") {
		t.Error(err)
	}
	delete(environment, "DEFENSECLAW_POLICY_DIR")
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
	if err != nil || set.Place() != fmt.Sprint("opa-config://", environment["DEFENSECLAW_OPA_CONFIG"]) {
		t.Error(set.Place(), err)
	}
}
