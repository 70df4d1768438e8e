package api_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/api"
	"defenseclaw/policies"
)

const (
	barePartsShape = "{ai_discovery:" + partShape + " api:" + partShape + " application_protection:" + partShape + " config:" + partShape + " gateway:" + partShape +
		" guardrail:" + partShape + " started_at:text telemetry:" + partShape + " uptime_ms:number watcher:" + partShape + "}"
	detailedPartsShape = "{ai_discovery:" + partShape + " api:" + partShape + " application_protection:" + partShape +
		" config:{details:{generation:number path:text restart_required:[text]} last_error:text since:text state:text} gateway:" + partShape +
		" guardrail:{details:{policy:text} last_error:text since:text state:text} provenance:{binary_version:text content_hash:text generation:number schema_version:number}" +
		" started_at:text telemetry:" + partShape + " uptime_ms:number watcher:{details:{directories:number mode:text} last_error:text since:text state:text}}"
)

// revealing are words of this sidecar's own that would help an attacker.
var revealing = []string{"s3cret-config-path", "s3cret-setting", "s3cret-config-error", "s3cret-watch", "s3cret-version", "p.rego"}

// talkative starts a sidecar whose every part has something to say.
func talkative(t *testing.T, files map[string]string) *sidecar {
	t.Helper()
	s, _ := withTokens(t, files, func(c *api.Config) {
		c.Version, c.DataDir = "s3cret-version", "/s3cret-data"
		c.Settings = func() *api.SettingsStatus {
			return &api.SettingsStatus{
				File: "/s3cret-config-path", State: api.SettingsRefused, Since: time.Now(), Error: "s3cret-config-error", AfterRestart: []string{"s3cret-setting"},
			}
		}
		c.Watch = func() api.Watch {
			return api.Watch{State: "root-missing", Reason: "s3cret-watch", Mode: "poll", Directories: 7}
		}
	})
	return s
}

var brokenPolicy = map[string]string{"p.rego": "package p\nx := := 1"}

func shapeOf(t *testing.T, answer string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	return shape(v)
}

func TestHealthHasTheStatesOfThePartsByTheOriginalsNames(t *testing.T) {
	s := talkative(t, brokenPolicy)
	for _, headers := range [][]string{{"Authorization: "}, nil} { // without a token, as commands of the original ask; and with one
		status, answer, h := s.request(http.MethodGet, "/health", "", headers...)
		var got api.ClientHealth
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK || h.Get("Content-Type") != "application/json" {
			t.Fatalf("%d %s %v", status, answer, err)
		}
		for part, states := range map[string][2]string{
			"gateway": {got.Gateway.State, "disabled"}, "watcher": {got.Watcher.State, "error"}, "config": {got.Config.State, "error"},
			"api": {got.API.State, "running"}, "guardrail": {got.Guardrail.State, "error"}, "telemetry": {got.Telemetry.State, "disabled"},
		} {
			if states[0] != states[1] {
				t.Errorf("%q: %s is %s; want %s", headers, part, states[0], states[1])
			}
		}
		if got.StartedAt.IsZero() || got.Guardrail.Since.IsZero() || got.UptimeMS < 0 {
			t.Errorf("%q: %s", headers, answer)
		}
	}
	if _, answer, _ := s.request(http.MethodHead, "/health", ""); answer != "" {
		t.Errorf("HEAD: %s", answer)
	}
}

func TestHealthRevealsNothingToCallersWhoMayNotReadTheStatus(t *testing.T) {
	guarded := map[string]string{"authz.rego": "package system.authz\nallow := true"}
	slow := map[string]string{"authz.rego": "package system.authz\nallow if { some i in numbers.range(1, 100000000); i < 0 }"}
	for name, c := range map[string]struct {
		files    map[string]string
		headers  []string
		detailed bool
	}{
		"no token":                            {files: brokenPolicy, headers: []string{"Authorization: "}},
		"a wrong token":                       {files: brokenPolicy, headers: []string{"Authorization: Bearer wrong"}},
		"a wrong token in another header":     {files: brokenPolicy, headers: []string{"Authorization: ", "X-DefenseClaw-Token: wrong"}},
		"a token without the scope":           {files: brokenPolicy, headers: []string{asApp}},
		"a page of another site":              {files: brokenPolicy, headers: []string{"Origin: http://evil.example"}},
		"a page across sites":                 {files: brokenPolicy, headers: []string{"Sec-Fetch-Site: cross-site"}},
		"a name that was rebound":             {files: brokenPolicy, headers: []string{"Host: evil.example", "Referer: x"}},
		"a policy that decides about callers": {files: guarded},
		"a policy that takes long":            {files: slow},
		"the token":                           {files: brokenPolicy, detailed: true},
		"the token in another header":         {files: brokenPolicy, headers: []string{"Authorization: ", "X-DC-Auth: Bearer " + token}, detailed: true},
		"a token with the scope":              {files: brokenPolicy, headers: []string{asOps}, detailed: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := talkative(t, c.files)
			status, answer, _ := s.request(http.MethodGet, "/health", "", c.headers...)
			want := barePartsShape
			if c.detailed {
				want = detailedPartsShape
			}
			if got := shapeOf(t, answer); status != http.StatusOK || got != want {
				t.Errorf("%d %s; want %s", status, got, want)
			}
			for _, word := range revealing {
				if strings.Contains(answer, word) != c.detailed {
					t.Errorf("%q in %s: want %v", word, answer, c.detailed)
				}
			}
			for _, word := range []string{"/s3cret-data", s.addr, "127.0.0.1"} { // of these GET /status tells, if anything does
				if strings.Contains(answer, word) {
					t.Errorf("%q in %s", word, answer)
				}
			}
		})
	}
}

// A caller that has used up its share is answered, but its token is not looked at: GET /health is no way to guess faster.
func TestHealthIsNoWayToGuessTokensFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := api.New(api.Config{Source: func() (fs.FS, error) { return policies.FS(), nil }, Token: token, BindHost: "0.0.0.0", RequestsPerSecond: 1, Version: "s3cret-version"})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(header string) string {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://192.0.2.1/health", nil)
			r.RemoteAddr = "203.0.113.7:1000"
			if header != "" {
				r.Header.Set("Authorization", header)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				t.Errorf("%q: %d %s", header, w.Code, w.Body)
			}
			return w.Body.String()
		}
		for range 100 {
			ask("") // a probe without a token takes nothing of the share
		}
		if answer := ask("Bearer " + token); !strings.Contains(answer, "s3cret-version") {
			t.Errorf("%s: want the details, after probes", answer)
		}
		ask("Bearer wrong")
		if answer := ask("Bearer " + token); strings.Contains(answer, "s3cret-version") {
			t.Errorf("%s: the token was looked at beyond the share", answer)
		}
	})
}

func TestGuessesAtHealthAreOnRecordAndProbesAreNot(t *testing.T) {
	s := full(t)
	probe := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health", nil) // has no header for a token
	probe.Header.Set("X-DefenseClaw-Request-Id", "probe")
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, probe); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s.expect(http.MethodGet, "/health", "", http.StatusOK, `"state"`, "Authorization: Bearer wrong", "X-DefenseClaw-Request-Id: guess")
	var records string
	eventually(t, "the guess is on record", func() bool { // written in the background
		_, records, _ = s.request(http.MethodGet, "/audit/records?action=auth-refused", "")
		return strings.Contains(records, `"guess"`)
	})
	if strings.Contains(records, `"probe"`) {
		t.Errorf("%s: a probe is on record", records)
	}
}
