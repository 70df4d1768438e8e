package settings_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
)

// home is a data directory whose config.yaml changes.
type home struct {
	t      *testing.T
	dir    string
	values map[string]string // flags, and variables with a capital
}

func newHome(t *testing.T, config string) home {
	h := home{t, t.TempDir(), map[string]string{}}
	h.values["DEFENSECLAW_HOME"] = h.dir
	h.write(config)
	return h
}

func (h home) write(config string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h home) read() *settings.Snapshot {
	h.t.Helper()
	flag := func(name string) (string, bool) { v, ok := h.values[name]; return v, ok }
	s, err := settings.NewReader(flag, func(name string) string { return h.values[name] }).Read()
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func TestOnlyWhatAppliesAtOnceIsTaken(t *testing.T) {
	h := newHome(t, "log: {level: info}\ngateway: {api_port: 1, token: one, client_cert: a}\njudge: {base_url: 'https://u:pw@h/v1'}\n")
	before := h.read()
	h.write("log: {level: warn}\ngateway: {api_port: 2, token: two, client_cert: b}\njudge: {base_url: 'https://u:pw2@h/v1'}\n")
	now, err := before.Reread()
	if err != nil {
		t.Fatal(err)
	}
	next, applied, waiting, err := now.Over(before)
	if err != nil {
		t.Fatal(err)
	}
	wantApplied := []settings.Change{
		{Key: "judge.base_url", Old: "https://%2A%2A%2A%2A%2A%2A%2A%2A@h/v1", New: "https://%2A%2A%2A%2A%2A%2A%2A%2A@h/v1"},
		{Key: "log.level", Old: "info", New: "warn"},
	}
	wantWaiting := []settings.Change{{Key: "gateway.api_port", Old: "1", New: "2"}, {Key: "gateway.token", Old: "********", New: "********"}}
	if !reflect.DeepEqual(applied, wantApplied) || !reflect.DeepEqual(waiting, wantWaiting) {
		t.Errorf("applied %+v, waiting %+v", applied, waiting)
	}
	set := next.Settings
	if token, _, _ := set.Token(); set.LogLevel != "warn" || set.APIPort != 1 || set.ClientCert != filepath.Join(h.dir, "b") || token != "one" {
		t.Errorf("in force: %+v, token %q", set, token)
	}
}

// What is in force is compared, not what the file said before: a change that is taken back waits no longer.
func TestAChangeThatIsTakenBackDoesNotWait(t *testing.T) {
	h := newHome(t, "gateway: {api_port: 1}\n")
	before := h.read()
	h.write("gateway: {api_port: 2}\n")
	next, _, waiting, err := h.read().Over(before)
	if err != nil || len(waiting) != 1 {
		t.Fatal(waiting, err)
	}
	h.write("gateway: {api_port: 1}\n")
	if _, applied, waiting, err := h.read().Over(next); err != nil || len(applied)+len(waiting) != 0 {
		t.Error(applied, waiting, err)
	}
}

func TestWithTheModeRestartOnlyTheModeIsTaken(t *testing.T) {
	h := newHome(t, "")
	before := h.read()
	h.write("log: {level: debug}\ngateway: {config_reload: {mode: restart}}\n")
	next, applied, waiting, err := h.read().Over(before)
	if err != nil || len(applied) != 1 || applied[0].Key != "gateway.config_reload.mode" || len(waiting) != 1 || waiting[0].Key != "log.level" {
		t.Errorf("applied %+v, waiting %+v, %v", applied, waiting, err)
	}
	if next.Settings.LogLevel != "info" || next.Settings.ConfigReload != settings.ReloadRestart {
		t.Errorf("%+v", next.Settings)
	}
}

func TestAFlagAndAVariableGoBeforeAChangedFile(t *testing.T) {
	h := newHome(t, "")
	h.values["log-level"], h.values["DEFENSECLAW_RATE_LIMIT"] = "error", "7"
	before := h.read()
	h.write("log: {level: debug}\ngateway: {rate_limit: 9}\n")
	next, applied, waiting, err := h.read().Over(before)
	if err != nil || len(applied)+len(waiting) != 0 || next.Settings.LogLevel != "error" || next.Settings.RateLimit != 7 {
		t.Errorf("applied %+v, waiting %+v, %v: %+v", applied, waiting, err, next.Settings)
	}
}

// Giving the default is a choice too: without it, tokens made by hand mean that there is no limit.
func TestADefaultThatIsWrittenDownIsChosen(t *testing.T) {
	h := newHome(t, "")
	before := h.read()
	h.write("gateway: {rate_limit: 100}\n")
	next, _, _, err := h.read().Over(before)
	if err != nil || !next.Settings.RateLimitChosen {
		t.Errorf("%+v %v", next.Settings, err)
	}
}

func TestAWrongValueIsNamedWithItsFileAndLine(t *testing.T) {
	for config, want := range map[string]string{
		"# one\nlog:\n  level: loud\n":                            "config.yaml:3:10: log.level is \"loud\"",
		"log: {level: info}\n\ngateway: {rate_limit: many}\n":     "config.yaml:3:23: gateway.rate_limit is \"many\"",
		"a: &a\n  timeout: never\njudge:\n  <<: *a\n  model: m\n": "config.yaml:4:3: judge.timeout is \"never\"",
		"log:\n  level: info\n  level: warn\n":                    "config.yaml:3:3: the key log.level is given twice; the first one is on line 2",
		"log: [\n":                                                "line",
		"- log\n":                                                 "config.yaml: yaml:",
	} {
		h := newHome(t, config)
		_, err := settings.NewReader(func(string) (string, bool) { return "", false }, func(name string) string { return h.values[name] }).Read()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Join(h.dir, "config.yaml")) {
			t.Errorf("%q: %v", config, err)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	var secrets []string
	for _, s := range settings.Table() {
		if s.IsSecret() {
			secrets = append(secrets, s.Key)
		}
		for _, word := range []string{"token", "secret", "password", "api_key"} {
			known := s.IsSecret() || strings.HasSuffix(s.Key, "_env") || slices.Contains([]string{"judge.max_answer_tokens", "decision_logs.secret_names"}, s.Key)
			if strings.Contains(s.Key, word) && !known {
				t.Errorf("is %s a secret?", s.Key)
			}
		}
	}
	if !slices.Contains(secrets, "gateway.token") {
		t.Error(secrets)
	}
	h := newHome(t, "gateway: {token: abc}\n")
	if v := h.read().Value("gateway.token"); v.Text != "********" {
		t.Errorf("%+v", v)
	}
}
