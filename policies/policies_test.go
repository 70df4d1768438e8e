package policies_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/policies"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/tester"
)

// answers are the rules that the contract's answers are made of, by domain.
var answers = map[string][]string{
	"admission":     {"verdict", "reason", "file_action", "install_action", "runtime_action"},
	"guardrail":     {"action", "severity", "reason", "scanner_sources", "effective_severity"},
	"firewall":      {"action", "rule_name"},
	"sandbox":       {"allowed_endpoints", "denied_endpoints", "denied_from_request", "permissions", "allowed_skills", "denied_skills", "version"},
	"audit":         {"retain", "retain_reason", "export_to"},
	"skill_actions": {"runtime_action", "file_action", "install_action", "should_block", "should_quarantine", "should_block_install"},
}

func TestThePacksOwnTestsPassAndReachItsLines(t *testing.T) {
	coverage := cover.New()
	count, modules := runTests(t, policies.FS(), coverage)
	if count < 50 {
		t.Errorf("%d tests ran; want the pack's tests to be thorough", count)
	}
	for name, f := range coverage.Report(modules).Files {
		if !strings.HasSuffix(name, "_test.rego") && f.Coverage < 95 {
			t.Errorf("%s: tests reach %.1f %% of the lines; not %v", name, f.Coverage, f.NotCovered)
		}
	}
}

// runTests runs the Rego tests of a directory, and returns how many there are, and the modules. coverage may be
// nil.
func runTests(t *testing.T, src fs.FS, coverage *cover.Cover) (count int, modules map[string]*ast.Module) {
	t.Helper()
	suite, err := engine.LoadSuite(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	txn, err := suite.Store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Store.Abort(t.Context(), txn)
	runner := tester.NewRunner().SetCompiler(suite.NewCompiler()).SetStore(suite.Store).SetModules(suite.Modules).
		RaiseBuiltinErrors(true).SetTimeout(time.Minute).SetDefaultRegoVersion(ast.RegoV1)
	if coverage != nil {
		runner.SetCoverageQueryTracer(coverage)
	}
	results, err := runner.RunTests(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	for r := range results {
		count++
		if !r.Pass() {
			t.Errorf("%s:%d %s: %v", r.Location.File, r.Location.Row, r.Name, r.Error)
		}
	}
	return count, suite.Modules
}

func TestThePackIsFormattedAndStrict(t *testing.T) {
	modules := map[string]*ast.Module{}
	err := fs.WalkDir(policies.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".rego" {
			return err
		}
		text, err := fs.ReadFile(policies.FS(), name)
		if err != nil {
			return err
		}
		formatted, err := format.SourceWithOpts(name, text, format.Opts{RegoVersion: ast.RegoV1})
		if err != nil {
			return err
		}
		if !bytes.Equal(text, formatted) {
			t.Errorf("%s is not formatted", name)
		}
		modules[name], err = ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	compiler := ast.NewCompiler().WithStrict(true).SetErrorLimit(0)
	if compiler.Compile(modules); compiler.Failed() {
		t.Error(compiler.Errors)
	}
}

func pack(tb testing.TB) *engine.Generation {
	tb.Helper()
	g, err := engine.Load(context.Background(), policies.FS(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// mustAnswer checks that every domain answers the input, whatever it is.
func mustAnswer(t *testing.T, g *engine.Generation, input any) {
	t.Helper()
	value, err := ast.InterfaceToValue(input)
	if err != nil {
		t.Fatal(err)
	}
	for domain, rules := range answers {
		result, defined, err := g.Decide(t.Context(), engine.Path{"defenseclaw", domain}, value)
		if err != nil || !defined {
			t.Errorf("%s with %v: defined %v, %v", domain, value, defined, err)
			continue
		}
		object, _ := result.(map[string]any)
		for _, rule := range rules {
			if _, ok := object[rule]; !ok {
				t.Errorf("%s with %v: %s is undefined", domain, value, rule)
			}
		}
		if domain == "firewall" && !slices.Contains([]any{"allow", "deny"}, object["action"]) {
			t.Errorf("firewall answers %v", object["action"])
		}
	}
}

func TestEveryDomainAnswersWhateverItIsAsked(t *testing.T) {
	g := pack(t)
	for _, odd := range []any{nil, true, 7, "x", []any{1}, map[string]any{}, map[string]any{
		"target_type": 1, "target_name": []any{}, "path": map[string]any{}, "block_list": "x", "allow_list": []any{nil, 1, map[string]any{"target_type": 1, "target_name": []any{}}},
		"scan_result": map[string]any{"total_findings": "many", "findings": 7, "max_severity": []any{}, "exit_code": "x", "scan_error": 7},
		"destination": []any{}, "port": "x", "severity": map[string]any{}, "age_days": "x", "export_targets": 7, "event_type": 7,
		"requested_endpoints": 7, "requested_permissions": map[string]any{"a": 1},
		"local_result": map[string]any{"severity": 9, "reason": []any{}, "is_safe": "no"}, "cisco_result": 7, "hilt": map[string]any{"enabled": 7, "min_severity": []any{}},
	}} {
		mustAnswer(t, g, odd)
	}
}

func FuzzEveryDomainAnswers(f *testing.F) {
	g := pack(f)
	f.Add([]byte(`{"destination":"[::1]:443","port":443,"severity":"HIGH","age_days":3}`))
	f.Add([]byte(`{"target_type":"skill","target_name":"a","path":"/x/../y","scan_result":{"total_findings":1e3,"max_severity":"LOW"}}`))
	f.Add([]byte(`{"local_result":{"severity":"LOW"},"cisco_result":{"is_safe":false},"requested_endpoints":["http://[::]/","a@b:c"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var input any
		if json.Unmarshal(text, &input) != nil {
			return
		}
		mustAnswer(t, g, input)
	})
}
