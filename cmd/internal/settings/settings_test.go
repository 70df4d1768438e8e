package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/engine"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resolve takes flags and environment variables in one map: names with a capital are variables.
func resolve(values map[string]string) (settings.Settings, error) {
	flagValue := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	return settings.Resolve(flagValue, func(name string) string { return values[name] })
}

func TestTheDefaultsAreValid(t *testing.T) {
	set, err := resolve(map[string]string{"DEFENSECLAW_HOME": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if set.APIPort != 18970 || !set.Watch || set.AddrChosen || set.Decisions.MaxDelay.Seconds() != 10 || len(set.Judge.Kinds) != 3 {
		t.Errorf("%+v", set)
	}
}

func TestTheSettingOfAPersonsConfirmationIsTakenAsTheOriginalTakesIt(t *testing.T) {
	for config, want := range map[string]settings.HILT{
		"":                                   {MinSeverity: "HIGH"},
		"guardrail: {hilt: {enabled: true}}": {Enabled: true, MinSeverity: "HIGH"},
		"guardrail: {hilt: {enabled: true, min_severity: ' medium '}}": {Enabled: true, MinSeverity: "MEDIUM"},
		"guardrail: {hilt: {min_severity: ''}}":                        {MinSeverity: "HIGH"},
		"guardrail: {hitl: {enabled: true, min_severity: low}}":        {Enabled: true, MinSeverity: "LOW"}, // the older name
		"guardrail: {hitl: {enabled: true}, hilt: {enabled: false}}":   {MinSeverity: "HIGH"},
		"guardrail: {hilt: {enabled: true, min_severity: SEVERE}}":     {Enabled: true}, // refused below
	} {
		home := t.TempDir()
		if err := os.WriteFile(filepath.Join(home, "config.yaml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := resolve(map[string]string{"DEFENSECLAW_HOME": home})
		if strings.Contains(config, "SEVERE") {
			const message = `config.yaml:1:49: guardrail.hilt.min_severity is "SEVERE": LOW, MEDIUM, HIGH or CRITICAL was expected`
			if err == nil || !strings.HasSuffix(err.Error(), message) {
				t.Errorf("%s: %v; want %s", config, err, message)
			}
		} else if err != nil || set.HILT != want {
			t.Errorf("%s: %+v, %v; want %+v", config, set.HILT, err, want)
		}
	}
}

func TestEachNameStandsForOneSetting(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings.Table() {
		if s.Flag == "" && s.Key == "" {
			t.Errorf("%+v cannot be set", s)
		}
		for _, name := range []string{s.Flag, s.Env, s.Key} {
			if name != "" && seen[name] {
				t.Errorf("two settings are called %s", name)
			}
			seen[name] = true
		}
	}
}

// TestDocumentsAreThePathsOfTheEngine compares the check here, which imports no engine, with the engine's.
func TestDocumentsAreThePathsOfTheEngine(t *testing.T) {
	for _, text := range []string{"a", "a/b", "/a//b/", "", "/", "//", "a%2Fb", "a%", "a%zz/b", `a"b`, "a%22b", "a b", "ü/1"} {
		path, err := engine.ParsePath(text)
		want := err == nil && len(path) > 0
		set, err := resolve(map[string]string{"DEFENSECLAW_HOME": t.TempDir(), "authzen-policy": text})
		if got := err == nil; got != want {
			t.Errorf("%q is taken: %v, by the engine: %v (%v)", text, got, want, err)
		}
		if want && set.AuthZENPolicy != text {
			t.Errorf("%q became %q", text, set.AuthZENPolicy)
		}
	}
}
