package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
)

// problemsOf reads a config.yaml and returns the errors, one a line, without the directory.
func problemsOf(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := resolve(map[string]string{"DEFENSECLAW_HOME": dir})
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), dir+"/", "")
}

func TestKeysThatNobodyReadsAreRefusedWithTheNearestOne(t *testing.T) {
	for config, want := range map[string]string{
		"gateway:\n  api_port: 1\n  tls_crt: a\n": "unknown key gateway.tls_crt at config.yaml:3:3; did you mean gateway.tls_cert?",
		"tls_crt: a\n":                                "unknown key tls_crt at config.yaml:1:1; did you mean gateway.tls_cert?",
		"tls-cert: a\n":                               "unknown key tls-cert at config.yaml:1:1; did you mean gateway.tls_cert?",
		"policy_drr: a\n":                             "unknown key policy_drr at config.yaml:1:1; did you mean policy_dir?",
		"gatway: {tls_cert: a}\n":                     "unknown key gatway at config.yaml:1:1; did you mean gateway?",
		"watch: {mdoe: poll}\n":                       "unknown key watch.mdoe at config.yaml:1:9; did you mean watch.mode?",
		"guardrail: {hitl: {enbled: true}}\n":         "unknown key guardrail.hilt.enbled at config.yaml:1:20; did you mean guardrail.hilt.enabled?",
		"gateway:\n  config_reload: {mod: hot}\n":     "unknown key gateway.config_reload.mod at config.yaml:2:19; did you mean gateway.config_reload.mode?",
		"llm: {api_kee: a}\n":                         "unknown key llm.api_kee at config.yaml:1:7; did you mean llm.api_key?",
		"a: &a {tls_crt: x}\ngateway: {<<: *a}\n":     "unknown key gateway.tls_crt at config.yaml:1:8; did you mean gateway.tls_cert?",
		"frobnicate: 1\n":                             "unknown key frobnicate at config.yaml:1:1; docs/reference/configuration.md has all keys, and one that begins with x- is left alone",
		"config_version: 8\npolicy_drr: a\n":          "unknown key policy_drr at config.yaml:2:1; did you mean policy_dir?",
		"config_version: 8\nfrobnicate: 1\n":          "", // the original gateway's file, of another version perhaps
		"x-mine: {tls_crt: a}\ngateway: {x-a: [1]}\n": "",
		"watch: {debounce_ms: 500}\nclaw: {mode: a}\ngateway: {tls: true, watcher: {skill: {dirs: []}}}\n": "",
		"guardrail: {judge: {tool_injection: true, llm: {extra_headers: {a: b}}}}\n":                       "",
		"watch:\npolicy_dir:\n":                             "",
		"watch: true\n":                                     `config.yaml:1:8: watch is "true": keys such as watch.enabled were expected`,
		"watch: [a]\n":                                      "config.yaml:1:8: watch is a list: keys such as watch.enabled were expected",
		"policy_dir: [a]\n":                                 "config.yaml:1:13: policy_dir is a list: one value was expected",
		"gateway:\n  api_port: {a: 1}\n":                    "config.yaml:2:13: gateway.api_port is a map: a port from 0 to 65535 was expected",
		"engine: {overlays: [{a: 1}]}\n":                    "config.yaml:1:20: engine.overlays is a list: a list of names such as data-site.json was expected",
		"engine: {overlays: [data-site.json]}\n":            "",
		"watch: {mode: poll}\n---\nwatch: {mode: notify}\n": "config.yaml:2: a second document begins here, and only one is read",
		"watch:\n  mode: poll\nwatch: {}\n":                 "config.yaml:3:1: the key watch is given twice; the first one is on line 1",
		"policy_drr: a\nwatch: {mdoe: poll, mode: soon}\n": "unknown key policy_drr at config.yaml:1:1; did you mean policy_dir?\n" +
			"unknown key watch.mdoe at config.yaml:2:9; did you mean watch.mode?\n" +
			`config.yaml:2:27: watch.mode is "soon": auto, notify or poll was expected`,
	} {
		if got := problemsOf(t, config); got != want {
			t.Errorf("%q:\n%s\nwant:\n%s", config, got, want)
		}
	}
}

// Each key of the table is found again by a typing error in it, and none of them is refused.
func TestEveryKeyIsKnownAndNearItself(t *testing.T) {
	for _, s := range settings.Table() {
		if s.Key == "" {
			continue
		}
		wrong := s.Key[:len(s.Key)-1] + "q"
		got := problemsOf(t, strings.ReplaceAll(nested(wrong), "VALUE", "a"))
		if !strings.HasPrefix(got, "unknown key "+wrong+" at config.yaml:") || !strings.Contains(got, "did you mean "+s.Key[:strings.LastIndexByte(s.Key, '.')+1]) {
			t.Errorf("%s: %s", wrong, got)
		}
		if got := problemsOf(t, strings.ReplaceAll(nested(s.Key), "VALUE", "")); strings.Contains(got, "unknown key") {
			t.Errorf("%s: %s", s.Key, got)
		}
	}
}

func nested(key string) string {
	var b strings.Builder
	parts := strings.Split(key, ".")
	for i, part := range parts {
		b.WriteString(strings.Repeat("  ", i) + part + ":")
		if i == len(parts)-1 {
			b.WriteString(" VALUE")
		}
		b.WriteString("\n")
	}
	return b.String()
}
