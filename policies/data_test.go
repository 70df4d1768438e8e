package policies_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/policies"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// withData is the pack with another data.json.
func withData(t *testing.T, data []byte) fs.FS {
	t.Helper()
	edited := fstest.MapFS{}
	err := fs.WalkDir(policies.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(policies.FS(), name)
		edited[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	edited["data.json"] = &fstest.MapFile{Data: data}
	return edited
}

func shippedData(t *testing.T) string {
	t.Helper()
	text, err := fs.ReadFile(policies.FS(), "data.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// schemaOfData returns the schema as it is written, and compiled.
func schemaOfData(t *testing.T) (written map[string]any, compiled *jsonschema.Schema) {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(policies.DataSchema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("data.schema.json", document); err != nil {
		t.Fatal(err)
	}
	return document.(map[string]any), compiler.MustCompile("data.schema.json")
}

func checkData(t *testing.T, schema *jsonschema.Schema, data []byte) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Fatalf("the data is not valid, so that the tests may fail: %v", err)
	}
}

func TestThePacksOwnTestsPassWithEditedData(t *testing.T) {
	_, schema := schemaOfData(t)
	for _, edit := range [][2]string{
		{`"default_action": "deny"`, `"default_action": "allow"`}, // the README's
		{`"blocked_destinations": ["169.254.169.254", "metadata.google.internal"]`, `"blocked_destinations": []`},
		{`"allowed_domains": ["api.github.com", `, `"allowed_domains": [`},
		{`"allowed_ports": [443, 80]`, `"allowed_ports": [8443]`},
		{`"scan_on_install": true`, `"scan_on_install": false`},
		{`"allow_list_bypass_scan": true`, `"allow_list_bypass_scan": false`},
		{`"target_type": "plugin",`, `"target_type": "skill",`},
		{`"target_name": "defenseclaw",`, `"target_name": "helper",`},
		{`".defenseclaw/extensions/defenseclaw",`, `"skills/helper",`},
		{`"retention_days": 90`, `"retention_days": 0`},
		{`"log_all_actions": true`, `"log_all_actions": false`},
		{`"block_threshold": 4`, `"block_threshold": 1`},
		{`"alert_threshold": 2`, `"alert_threshold": 0`},
		{`"cisco_trust_level": "full"`, `"cisco_trust_level": "none"`},
		{`"enabled": false`, `"enabled": true`},
		{`"denied_endpoints_global": ["169.254.169.254", "metadata.google.internal"]`, `"denied_endpoints_global": []`},
		{`"MEDIUM": {"runtime": "allow", "file": "none", "install": "none"},`, ``},
		{`"CRITICAL": {"runtime": "block"`, `"CRITICAL": {"runtime": "allow"`},
		{`"mcp": {`, `"skill": {`},
	} {
		t.Run(edit[1], func(t *testing.T) {
			data := []byte(strings.Replace(shippedData(t), edit[0], edit[1], 1))
			if string(data) == shippedData(t) {
				t.Fatalf("the shipped data has no %s", edit[0])
			}
			checkData(t, schema, data)
			runTests(t, withData(t, data), nil)
		})
	}
}

// Data that the schema allows is made from the schema, so a setting that is added there is varied here.
func TestThePacksOwnTestsPassWithAnyValidData(t *testing.T) {
	written, schema := schemaOfData(t)
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := generator{schema: written, random: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // the same data in each run
			data, err := json.Marshal(g.value(written))
			if err != nil {
				t.Fatal(err)
			}
			checkData(t, schema, data)
			runTests(t, withData(t, data), nil)
			if t.Failed() {
				t.Logf("the data is %s", data)
			}
		})
	}
}

// A generator makes values that a JSON schema allows. It has the keywords that data.schema.json uses.
type generator struct {
	schema map[string]any
	random *rand.Rand
}

func pick[T any](g generator, of ...T) T { return of[g.random.IntN(len(of))] }

func (g generator) value(s map[string]any) any {
	if ref, ok := s["$ref"].(string); ok {
		definitions := g.schema["$defs"].(map[string]any)
		return g.value(definitions[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any))
	}
	if allowed, ok := s["enum"].([]any); ok {
		return pick(g, allowed...)
	}
	switch s["type"] {
	case "boolean":
		return pick(g, true, false)
	case "number":
		if _, ok := s["minimum"]; ok {
			return pick(g, 0, 0.5, 30, 1e6)
		}
		return pick(g, -1, 0, 0.5, 2, 3, 4, 100)
	case "integer":
		return pick(g, 1, 80, 443, 65535)
	case "string":
		return pick(g, "", "helper", "skill", "read", "bad.example", "/home/u/skills/")
	case "array":
		items := make([]any, g.random.IntN(4))
		for i := range items {
			items[i] = g.value(s["items"].(map[string]any))
		}
		return items
	}
	return g.object(s)
}

func (g generator) object(s map[string]any) map[string]any {
	made := map[string]any{}
	required, _ := s["required"].([]any)
	properties, _ := s["properties"].(map[string]any)
	others, open := s["additionalProperties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if slices.Contains(required, any(name)) || g.random.IntN(3) > 0 {
			made[name] = g.value(properties[name].(map[string]any))
		}
	}
	if !open {
		return made
	}
	for _, name := range required {
		made[name.(string)] = g.value(others)
	}
	for range g.random.IntN(3) {
		made[pick(g, "mcp", "skill", "yara", "HIGH", "ODD")] = g.value(others)
	}
	return made
}

func TestTheShippedDataDecides(t *testing.T) {
	g := pack(t)
	for _, c := range []struct{ document, input, want string }{
		{"firewall/action", `{"destination": "169.254.169.254", "port": 80}`, `"deny"`},
		{"firewall/action", `{"destination": "api.github.com", "port": 443}`, `"allow"`},
		{"firewall/action", `{"destination": "example.com", "port": 443}`, `"deny"`},
		{"audit/retain", `{"event_type": "reload", "age_days": 90}`, `true`},
		{"audit/retain", `{"event_type": "reload", "age_days": 91}`, `false`},
		{"guardrail/action", `{"mode": "action", "local_result": {"severity": "CRITICAL"}}`, `"block"`},
		{"guardrail/action", `{"mode": "action", "local_result": {"severity": "LOW"}}`, `"allow"`},
		{"sandbox/denied_from_request", `{"requested_endpoints": ["http://169.254.169.254/latest"]}`, `["http://169.254.169.254/latest"]`},
		{"skill_actions/should_block", `{"severity": "CRITICAL"}`, `true`},
		{"skill_actions/should_block", `{"severity": "MEDIUM", "target_type": "skill"}`, `false`},
		{"skill_actions/should_block", `{"severity": "MEDIUM", "target_type": "mcp"}`, `true`},
		{"admission/verdict", `{"target_type": "skill", "target_name": "helper"}`, `"scan"`},
	} {
		input := ast.MustParseTerm(c.input).Value
		path := append(engine.Path{"defenseclaw"}, strings.Split(c.document, "/")...)
		result, _, err := g.Decide(t.Context(), path, input)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(result); err != nil || string(got) != c.want {
			t.Errorf("%s with %s is %s, %v; want %s", c.document, c.input, got, err, c.want)
		}
	}
}

// A folder of others' plugins, a look-alike and a replaced plugin of ours are not first-party, whatever they are called.
func TestTheShippedDataTrustsNoFolder(t *testing.T) {
	g := pack(t)
	severe := map[string]any{"total_findings": 1, "max_severity": "CRITICAL"}
	const own = "/home/u/.openclaw/extensions/defenseclaw"
	for _, tt := range []struct {
		path string
		scan any
		want string
	}{
		{own, nil, "allowed"},
		{"/home/alice/.defenseclaw/extensions/defenseclaw/", nil, "allowed"},
		{own, severe, "rejected"},
		{"/home/u/.openclaw/extensions/evil-sibling", severe, "rejected"},
		{"/home/u/.openclaw/extensions/evil-sibling", nil, "scan"},
		{own + "/evil", nil, "scan"},
		{own + "-evil", nil, "scan"},
		{"/home/u/.openclaw/extensions//..", nil, "scan"},
		{"/home/u/xopenclaw/extensions/defenseclaw", nil, "scan"},
		{"/tmp/evil.openclaw/extensions/defenseclaw", nil, "scan"},
		{"extensions/defenseclaw", nil, "scan"},
		{"/home/u/.zeptoclaw/extensions/defenseclaw", nil, "allowed"},
		{"/home/u/.claude/extensions/defenseclaw", nil, "allowed"},
		{"/home/u/.codex/extensions/defenseclaw", nil, "allowed"},
		{"/home/u/.config/amp/plugins/defenseclaw.ts", nil, "allowed"},
		{"/home/u/.config/amp/plugins/defenseclaw.ts", severe, "rejected"},
		{"/home/u/.config/amp/plugins/evil.ts", nil, "scan"},
		{"/home/u/.config/amp/plugins", nil, "scan"},
		{"/home/u/.claude/skills/codeguard", nil, "scan"}, // the place of a skill
	} {
		input := map[string]any{"target_type": "plugin", "target_name": "defenseclaw", "path": tt.path}
		if tt.scan != nil {
			input["scan_result"] = tt.scan
		}
		value, err := ast.InterfaceToValue(input)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := g.Decide(t.Context(), engine.Path{"defenseclaw", "admission", "verdict"}, value)
		if err != nil || got != tt.want {
			t.Errorf("%s, scan %v: %v (%v), want %s", tt.path, tt.scan, got, err, tt.want)
		}
	}
}
