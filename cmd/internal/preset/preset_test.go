package preset_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/cmd/internal/preset"
	"defenseclaw/cmd/internal/schema"
	"defenseclaw/engine"
	"defenseclaw/policies"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shipped(t *testing.T) []byte {
	t.Helper()
	text, err := fs.ReadFile(policies.FS(), "data.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func apply(t *testing.T, dir, name string, data []byte) ([]byte, []preset.Change) {
	t.Helper()
	p, err := preset.Find(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	edited, changes, err := p.Apply(data)
	if err != nil {
		t.Fatal(err)
	}
	return edited, changes
}

func TestEachBuiltInPolicyIsGoodDataOfThePack(t *testing.T) {
	for _, name := range preset.BuiltIn() {
		edited, changes := apply(t, t.TempDir(), name, shipped(t))
		if len(changes) == 0 {
			t.Errorf("%s changes nothing", name)
		}
		if again, more := apply(t, t.TempDir(), name, edited); len(more) > 0 || string(again) != string(edited) {
			t.Errorf("%s changes what it wrote: %v", name, more)
		}
		pack := fstest.MapFS{"data.json": {Data: edited}}
		files, err := fs.Glob(policies.FS(), "*.rego")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := fs.ReadFile(policies.FS(), file)
			if err != nil {
				t.Fatal(err)
			}
			pack[file] = &fstest.MapFile{Data: text}
		}
		g, err := engine.Load(t.Context(), pack, nil)
		if err != nil {
			t.Fatal(err)
		}
		if wrong, err := schema.Check(g); err != nil || len(wrong) > 0 {
			t.Errorf("%s: %v %v", name, wrong, err)
		}
	}
}

// What the names mean to who chooses one: from which severity on things are blocked, and what may be reached.
func TestWhatTheBuiltInPoliciesMean(t *testing.T) {
	type meaning struct {
		Config struct {
			Name   string `json:"policy_name"`
			Bypass bool   `json:"allow_list_bypass_scan"`
			Scan   bool   `json:"scan_on_install"`
		} `json:"config"`
		Actions   map[string]map[string]string            `json:"actions"`
		Scanners  map[string]map[string]map[string]string `json:"scanner_overrides"`
		Guardrail struct {
			Block int    `json:"block_threshold"`
			Alert int    `json:"alert_threshold"`
			Cisco string `json:"cisco_trust_level"`
		} `json:"guardrail"`
		Firewall struct {
			Default string   `json:"default_action"`
			Blocked []string `json:"blocked_destinations"`
			Ports   []int    `json:"allowed_ports"`
		} `json:"firewall"`
		Audit struct {
			Days int `json:"retention_days"`
		} `json:"audit"`
	}
	for name, want := range map[string]struct {
		blocks           string // severities whose runtime is block
		bypass           bool
		block, alert     int
		cisco, otherwise string
		ports, days      int
		mcpLow           string
	}{
		"default":    {"CRITICAL HIGH", true, 4, 2, "full", "deny", 2, 90, "block"},
		"strict":     {"CRITICAL HIGH MEDIUM", false, 2, 1, "full", "deny", 1, 365, "block"},
		"permissive": {"CRITICAL", true, 4, 3, "advisory", "allow", 0, 30, ""},
	} {
		edited, _ := apply(t, t.TempDir(), name, shipped(t))
		var got meaning
		if err := json.Unmarshal(edited, &got); err != nil {
			t.Fatal(err)
		}
		var blocks []string
		for _, severity := range []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO"} {
			if got.Actions[severity]["runtime"] == "block" {
				blocks = append(blocks, severity)
			}
		}
		if strings.Join(blocks, " ") != want.blocks || got.Config.Name != name || got.Config.Bypass != want.bypass || !got.Config.Scan ||
			got.Guardrail.Block != want.block || got.Guardrail.Alert != want.alert || got.Guardrail.Cisco != want.cisco ||
			got.Firewall.Default != want.otherwise || len(got.Firewall.Ports) != want.ports || len(got.Firewall.Blocked) < 2 || got.Audit.Days != want.days ||
			got.Scanners["mcp"]["LOW"]["runtime"] != want.mcpLow {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAFileOfAHomeIsAppliedKeyByKey(t *testing.T) {
	const data = `{
  "zeta": {"b": 1.50, "a": [1, 2]},
  "guardrail": {"patterns": {"x": ["y"]}, "block_threshold": 4},
  "actions": {"CRITICAL": {"runtime": "block", "file": "quarantine", "install": "block"}},
  "first_party_allow_list": [{"target_type": "skill", "target_name": "s", "reason": "ours", "source_path_contains": ["a/b"]}]
}`
	dir := t.TempDir()
	write(t, dir, "mine.yaml", `name: mine
skill_actions:
  high: {runtime: disable}
  low: {runtime: enable, file: none, install: allow}
guardrail: {block_threshold: 3, unknown: 7}
first_party_allow_list: [{target_type: skill, target_name: s, source_path_contains: [c/d]}]
webhooks: []
watch: {rescan_enabled: true}
`)
	edited, changes := apply(t, dir, "mine", []byte(data))
	var got, want any
	if err := json.Unmarshal(edited, &got); err != nil {
		t.Fatal(err)
	}
	const expected = `{
  "zeta": {"b": 1.50, "a": [1, 2]},
  "guardrail": {"patterns": {"x": ["y"]}, "block_threshold": 3},
  "actions": {"CRITICAL": {"runtime": "block", "file": "quarantine", "install": "block"},
    "HIGH": {"runtime": "block", "file": "none", "install": "none"}, "LOW": {"runtime": "allow", "file": "none", "install": "allow"}},
  "first_party_allow_list": [{"target_type": "skill", "target_name": "s", "reason": "ours", "source_path_contains": ["c/d"]}],
  "config": {"policy_name": "mine"}
}`
	if err := json.Unmarshal([]byte(expected), &want); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) || len(changes) != 5 {
		t.Errorf("%s\n%v", edited, changes)
	}
	order := []string{`"zeta"`, `1.50`, `"guardrail"`, `"patterns"`, `"block_threshold"`, `"actions"`, `"CRITICAL"`, `"HIGH"`, `"first_party_allow_list"`, `"config"`}
	at := -1
	for _, word := range order {
		next := strings.Index(string(edited), word)
		if next <= at {
			t.Errorf("%s is not in its place", word)
		}
		at = next
	}
	p, err := preset.Find(dir, "mine")
	if err != nil || strings.Join(p.NotApplied, " ") != "watch webhooks" {
		t.Errorf("%v %v", p.NotApplied, err)
	}
}

func TestWhatIsWrongIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "word.yaml", "skill_actions: {high: {runtime: maybe}}")
	write(t, dir, "severity.yaml", "skill_actions: {hihg: {runtime: block}}")
	write(t, dir, "scanner.yaml", "scanner_overrides: {mcp: {high: {file: none}}}")
	write(t, dir, "broken.yaml", "skill_actions: [")
	write(t, dir, "strict.yaml", "name: strict\nguardrail: {block_threshold: 1}")
	for _, name := range []string{"../strict", "", ".hidden", "a/b", "none", "broken"} {
		if _, err := preset.Find(dir, name); err == nil {
			t.Errorf("%q is found", name)
		}
	}
	if _, err := preset.Find(dir, "none"); !errors.Is(err, preset.ErrUnknown) {
		t.Error(err)
	}
	for _, name := range []string{"word", "severity", "scanner"} {
		p, err := preset.Find(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Apply([]byte("{}")); err == nil {
			t.Errorf("%s is applied", name)
		}
	}
	p, err := preset.Find(dir, "strict") // the home's own goes before the one built in
	if err != nil || p.File == "" {
		t.Fatal(err)
	}
	for _, data := range []string{"", "[]", `{"a":1,"a":2}`, `{"guardrail":7}`, `{} {}`, `{"config":{"x":1,"x":2}}`, `{"a":`} {
		if _, _, err := p.Apply([]byte(data)); err == nil {
			t.Errorf("%s is edited", data)
		}
	}
}

func TestAFileIsReplacedAtOnceAndKept(t *testing.T) {
	now := time.Date(2026, 11, 26, 1, 2, 3, 4e6, time.UTC)
	dir := t.TempDir()
	file := filepath.Join(dir, "data.json")
	write(t, dir, "data.json", "before")
	if err := os.Chmod(file, 0o640); err != nil { //nolint:gosec // the mode is what is tested
		t.Fatal(err)
	}
	if _, err := preset.Replace(file, []byte("other"), []byte("after"), now); err == nil || !strings.Contains(err.Error(), "has changed meanwhile") {
		t.Error(err)
	}
	copied, err := preset.Replace(file, []byte("before"), []byte("after"), now)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "after", copied: "before"} {
		text, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || string(text) != want || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %s %v %v", path, text, err, statErr)
		}
	}
	if err := os.Symlink(file, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := preset.Replace(filepath.Join(dir, "link"), []byte("after"), []byte("x"), now.Add(time.Second)); err == nil {
		t.Error("a link is replaced")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 3 {
		t.Errorf("%v %v", left, err)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
