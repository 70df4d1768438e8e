package settings_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"

	"pgregory.net/rapid"
)

func (h home) text() string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "config.yaml"))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

var (
	toAction = settings.ConfigKey{Key: "guardrail.mode", Value: "action"}
	askHILT  = settings.ConfigKey{Key: "guardrail.hilt.enabled", Value: true}
)

func TestAnEditKeepsWhatItIsNotAbout(t *testing.T) {
	for before, after := range map[string]string{
		"":       "guardrail:\n  mode: \"action\"\n  hilt:\n    enabled: true\n",
		"# mine": "# mine\nguardrail:\n  mode: \"action\"\n  hilt:\n    enabled: true\n",
		"# top\nx-other: [1, two] # here\nguardrail:\n  # how\n  mode: observe # for now\n  x-x: {y: 'z'}\n# end\n": "# top\nx-other: [1, two] # here\nguardrail:\n  # how\n  mode: \"action\" # for now\n  x-x: {y: 'z'}\n  hilt:\n    enabled: true\n# end\n",
		"guardrail:\nlog: {level: warn}\n":                                          "guardrail:\n  mode: \"action\"\n  hilt:\n    enabled: true\nlog: {level: warn}\n",
		"guardrail: {mode: observe, hilt: {enabled: false, min_severity: LOW}}\n":   "guardrail: {mode: \"action\", hilt: {enabled: true, min_severity: LOW}}\n",
		"guardrail: {hitl: {enabled: false, min_severity: LOW}}\n":                  "guardrail: {hitl: {enabled: true, min_severity: LOW}, mode: \"action\"}\n",
		"a: &a {b: 1}\nx-c:\n  <<: *a\n":                                            "a: &a {b: 1}\nx-c:\n  <<: *a\nguardrail:\n  mode: \"action\"\n  hilt:\n    enabled: true\n",
		"log:\r\n  level: warn # loud\r\n":                                          "log:\r\n  level: warn # loud\r\nguardrail:\r\n  mode: \"action\"\r\n  hilt:\r\n    enabled: true\r\n",
		"---\nx-x: 2026-01-02\nx-y: 0x1F\nx-z: 1.50\nguardrail: {mode: observe}\n":  "x-x: 2026-01-02\nx-y: 0x1F\nx-z: 1.50\nguardrail: {mode: \"action\", hilt: {enabled: true}}\n",
		"guardrail:\n  mode: action\n  hilt:\n        enabled: true\n\n\nlog: {}\n": "guardrail:\n  mode: action\n  hilt:\n        enabled: true\n\n\nlog: {}\n", // nothing to change
		"guardrail:\n  connectors:\n    a: {mode: observe}\n  mode: observe\n":      "guardrail:\n  connectors:\n    a: {mode: observe}\n  mode: \"action\"\n  hilt:\n    enabled: true\n",
	} {
		h := newHome(t, before)
		edit, err := h.read().Edit([]settings.ConfigKey{toAction, askHILT})
		if err == nil {
			if h.text() != before {
				t.Errorf("%q is changed before it is written", before)
			}
			err = edit.Write()
		}
		if got := h.text(); err != nil || got != after {
			t.Errorf("%q became %q, %v; want %q", before, got, err, after)
			continue
		}
		now := h.read()
		if set := now.Settings; set.Guardrail.Mode != "action" || !set.HILT.Enabled || edit.After.Settings.Guardrail != set.Guardrail || edit.After.Settings.HILT != set.HILT {
			t.Errorf("%q is read as %+v %+v", after, set.Guardrail, set.HILT)
		}
		if strings.Contains(before, "LOW") && now.Settings.HILT.MinSeverity != "LOW" {
			t.Errorf("%q lost the severity", before)
		}
	}
}

func TestAFileThatAProgramMustNotChangeStaysAsItIs(t *testing.T) {
	for before, why := range map[string]string{
		"a: &a {mode: observe}\n\nguardrail: *a\n":                       "config.yaml:3: what holds mode is no plain mapping",
		"guardrail: &a {mode: observe}\nx-other: *a\n":                   "without another change",
		"guardrail: {mode: observe}\nx-x: &a observe\nx-y: {mode: *a}\n": "", // none of ours
		"a: &a {hilt: {min_severity: LOW}}\nguardrail: {<<: *a}\n":       "without another change",
	} {
		h := newHome(t, before)
		_, err := h.read().Edit([]settings.ConfigKey{toAction, askHILT})
		if why == "" {
			if err != nil {
				t.Errorf("%q: %v", before, err)
			}
		} else if !errors.Is(err, settings.ErrNotEditable) || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), filepath.Join(h.dir, "config.yaml")) {
			t.Errorf("%q: %v; want %s", before, err, why)
		}
		if h.text() != before {
			t.Errorf("%q is changed", before)
		}
	}
}

func TestAFlagAndAVariableAreNamedWhereTheyGoBeforeAnEdit(t *testing.T) {
	h := newHome(t, "")
	h.values["log-level"], h.values["DEFENSECLAW_RATE_LIMIT"] = "error", "7"
	for key, name := range map[string]string{"log.level": "--log-level", "gateway.rate_limit": "DEFENSECLAW_RATE_LIMIT"} {
		_, err := h.read().Edit([]settings.ConfigKey{{Key: key, Value: "9"}})
		if !errors.Is(err, settings.ErrNotEditable) || !strings.HasPrefix(err.Error(), name+" gives "+key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestAnEditKeepsThePermissionsAndRefusesALinkAndAChangedFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions and links are others there")
	}
	h := newHome(t, "log: {level: warn}\n")
	path := filepath.Join(h.dir, "config.yaml")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	edit, err := h.read().Edit([]settings.ConfigKey{toAction})
	if err != nil {
		t.Fatal(err)
	}
	h.write("log: {level: error}\n")
	if err := edit.Write(); !errors.Is(err, settings.ErrNotEditable) || h.text() != "log: {level: error}\n" {
		t.Errorf("%v %q", err, h.text())
	}
	edit, err = h.read().Edit([]settings.ConfigKey{toAction})
	if err == nil {
		err = edit.Write()
	}
	if info, _ := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", err, info.Mode())
	}
	if err := os.Rename(path, path+".real"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("config.yaml.real", path); err != nil {
		t.Fatal(err)
	}
	if _, err := h.read().Edit([]settings.ConfigKey{askHILT}); !errors.Is(err, settings.ErrNotEditable) || !strings.Contains(err.Error(), "a symbolic link to config.yaml.real") {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if edit, err = h.read().Edit([]settings.ConfigKey{askHILT}); err == nil {
		err = edit.Write()
	}
	if info, statErr := os.Stat(path); err != nil || statErr != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file that was not there: %v %v", err, statErr)
	}
}

func TestAnyTextIsWrittenAndReadBack(t *testing.T) {
	h := newHome(t, "guardrail: {block_message: old} # why\n")
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "~", "yes", "1", "# x", "a: b", "\x00\r\n\u0085\u2028", "---", "'", `"\`})).Draw(rt, "text")
		edit, err := h.read().Edit([]settings.ConfigKey{{Key: "guardrail.block_message", Value: text}})
		if err == nil {
			err = edit.Write()
		}
		if got := h.read().Settings.Guardrail.BlockMessage; err != nil || got != text {
			rt.Fatalf("%q is read back as %q, %v: %q", text, got, err, h.text())
		}
		if !strings.Contains(h.text(), "# why") {
			rt.Fatalf("the comment is gone: %q", h.text())
		}
	})
}
