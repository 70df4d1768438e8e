package sidecar_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/sidecar"
)

// request sends a request to a sidecar and decodes the answer, unless into is nil.
func request(t *testing.T, s *sidecar.Sidecar, method, path, body string, into any) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it only looks
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Transport: transport, Timeout: patience}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
	if into != nil {
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// becomes asks for the status until it is as wanted.
func becomes(t *testing.T, s *sidecar.Sidecar, what string, is func(*api.StatusAnswer) bool) *api.StatusAnswer {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		now := &api.StatusAnswer{}
		request(t, s, http.MethodGet, "/policy/status", "", now)
		if is(now) {
			return now
		}
		if time.Now().After(end) {
			text, _ := json.Marshal(now.Parts)
			t.Fatalf("it never happened: %s; %s", what, text)
		}
	}
}

// partOf is how a part is now.
func partOf(t *testing.T, s *api.StatusAnswer, name string) api.Part {
	t.Helper()
	all := s.Tell(time.Now())
	i := slices.IndexFunc(all, func(p api.Part) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no part %s in %+v", name, all)
	}
	return all[i]
}

func TestTheStatusTellsOfADecisionLogWhoseServiceRefuses(t *testing.T) {
	var accepts atomic.Bool
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !accepts.Load() {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer service.Close()
	home := t.TempDir()
	config := "decision_logs: {url: '" + service.URL + "', min_delay: 10ms, max_delay: 20ms}"
	if err := os.WriteFile(filepath.Join(home, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, s, _, _ := startWith(t, map[string]string{"DEFENSECLAW_HOME": home})
	first := becomes(t, s, "a status", func(*api.StatusAnswer) bool { return true })
	if p := partOf(t, first, "Decision log"); p.Level != api.PartWell || !slices.Equal(first.DecisionLog.Sinks, []string{"service"}) {
		t.Errorf("before the first decision: %+v", p)
	}
	request(t, s, http.MethodPost, "/policy/evaluate/firewall", `{"destination":"example.com"}`, nil)
	refused := becomes(t, s, "the service refuses", func(now *api.StatusAnswer) bool { return len(now.DecisionLog.Failing) > 0 })
	if p := partOf(t, refused, "Decision log"); p.Level != api.PartWrong || !strings.Contains(p.Text, "403 Forbidden") || refused.DecisionLog.ErrorAt == nil {
		t.Errorf("while the service refuses: %+v", p)
	}
	accepts.Store(true)
	mended := becomes(t, s, "the service accepts", func(now *api.StatusAnswer) bool { return now.DecisionLog.Written["service"] == 1 })
	if p := partOf(t, mended, "Decision log"); p.Level != api.PartWell || len(mended.DecisionLog.Failing) > 0 {
		t.Errorf("after the service accepted: %+v", p)
	}
}

func TestTheStatusTellsOfTheCertificateInUse(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	newAuthority(t).issue(t, cert, key)
	_, s, _, _ := startWith(t, map[string]string{"DEFENSECLAW_TLS_CERT": cert, "DEFENSECLAW_TLS_KEY": key})
	now := becomes(t, s, "a certificate", func(now *api.StatusAnswer) bool { return now.Certificate != nil })
	if p := partOf(t, now, "Certificate"); p.Level != api.PartLook || !strings.Contains(p.Text, "expires at") { // within the hour
		t.Errorf("%+v", p)
	}
	for after, want := range map[time.Duration]string{2 * time.Hour: api.PartWrong, -2 * time.Hour: api.PartWrong} {
		if all := now.Tell(time.Now().Add(after)); all[len(all)-1].Level != want {
			t.Errorf("%s from now: %+v", after, all)
		}
	}
	replace(t, cert, []byte("half written"))
	broken := becomes(t, s, "the files do not fit", func(now *api.StatusAnswer) bool { return now.Certificate.Error != "" })
	if p := partOf(t, broken, "Certificate"); p.Level != api.PartWrong || !strings.Contains(p.Text, cert) {
		t.Errorf("%+v", p)
	}
}

func TestTheStatusTellsOfTheListenerForEnvoy(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.rego"), []byte("package"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, s, _, _ := startWith(t, map[string]string{"DEFENSECLAW_POLICY_DIR": dir, "DEFENSECLAW_EXT_AUTHZ_ADDR": "127.0.0.1:0"})
	now := becomes(t, s, "a listener", func(now *api.StatusAnswer) bool { return now.ExtAuthz != nil })
	if p := partOf(t, now, "Envoy"); p.Level != api.PartWrong || !strings.Contains(p.Text, s.EnvoyAddr()) || now.ExtAuthz.Reason == "" {
		t.Errorf("without a policy: %+v", p)
	}
	replace(t, filepath.Join(dir, "p.rego"), []byte("package p\nx := 1")) // which the watch sees
	now = becomes(t, s, "it serves", func(now *api.StatusAnswer) bool { return now.ExtAuthz.Serving })
	if p := partOf(t, now, "Envoy"); p.Level != api.PartWell {
		t.Errorf("with a policy: %+v", p)
	}
}
