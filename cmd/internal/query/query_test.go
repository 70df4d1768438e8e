package query_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/query"
	"defenseclaw/engine"
	"defenseclaw/engine/memfs"
	"defenseclaw/policies"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

const policy = `package app.users

import data.lib

default allow := false

allow if {
	input.role == "admin"
	lib.small(input.size)
}

names contains u.name if some u in data.users

by_name[u.name] := u if some u in data.users

bad := to_number("x")
`

const lib = "package lib\n\nsmall(n) if n < data.limit\n\nconstants := {\"e\": 2.718281828459045, \"big\": 12345678901234567890}\n"

const data = `{"limit": 10, "users": [{"name": "a", "admin": true}, {"name": "b", "tags": ["x", null, 1.0]}]}`

func files() map[string][]byte {
	return map[string][]byte{"users.rego": []byte(policy), "lib.rego": []byte(lib), "data.json": []byte(data)}
}

func load(t testing.TB) *engine.Generation {
	t.Helper()
	g, err := engine.Load(t.Context(), memfs.New(maps.All(files())), nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// sameAsOPA are queries that OPA's evaluator answers, with the input or without.
var sameAsOPA = []struct {
	query, pkg string
	imports    []string
}{
	{query: "data.app.users.allow"},
	{query: "data"},
	{query: "data.nope"},
	{query: "input"},
	{query: "1 + 1"},
	{query: "x := data.users[i].name; i > 0"},
	{query: "some u in data.users; u.admin"},
	{query: "data.app.users.by_name[n].tags"},
	{query: "data.lib.constants"},
	{query: "false"},
	{query: "true; false"},
	{query: "not data.app.users.allow"},
	{query: "every u in data.users { u.name != input.role }"},
	{query: `data.app.users.allow with input as {"role": "admin", "size": 3}`},
	{query: "data.app.users.bad"},
	{query: "a = b; b = 3"},
	{query: `{v: i | v := data.users[i].name}`},
	{query: `[1.0, 1e2, 12345678901234567890, -0]`},
	{query: "allow", pkg: "app.users"},
	{query: "count(names) + count(by_name)", pkg: "app.users"},
	{query: "small(3)", pkg: "data.lib"},
	{query: "l.small(input.size); data.users[0]", imports: []string{"data.lib as l"}},
	{query: "users.names", imports: []string{"data.app.users", "input.role"}},
	{query: "role == data.users[_].name", imports: []string{"input.role"}},
	{query: "constants.e; u.allow", pkg: "lib", imports: []string{"data.app.users as u"}},
}

func TestAQueryIsAnsweredAsOPAAnswersIt(t *testing.T) {
	dir := t.TempDir()
	for name, text := range files() {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := load(t)
	for _, tc := range sameAsOPA {
		for _, text := range []string{"", `{"role": "admin", "size": 3}`, `{"role": "b"}`} {
			var input ast.Value
			options := []func(*rego.Rego){
				rego.Load([]string{dir}, nil), rego.Query(tc.query), rego.Package(strings.TrimPrefix(tc.pkg, "data.")), rego.Imports(tc.imports),
			}
			if text != "" {
				input = ast.MustParseTerm(text).Value
				options = append(options, rego.ParsedInput(input))
			}
			want, err := rego.New(options...).Eval(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", tc.query, err)
			}
			q, err := query.Parse(tc.query, tc.pkg, tc.imports)
			if err != nil {
				t.Fatalf("%s: %v", tc.query, err)
			}
			answer, err := query.Evaluate(t.Context(), g, tc.query, q, input, query.Options{})
			if err != nil {
				t.Errorf("%s: %v", tc.query, err)
				continue
			}
			if a, b := asJSON(t, answer.Result), asJSON(t, want); a != b {
				t.Errorf("%s with %q:\n%s\nOPA:\n%s", tc.query, text, a, b)
			}
			if answer.Defined() != (len(want) > 0) {
				t.Errorf("%s: defined %t", tc.query, answer.Defined())
			}
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatPartialEvaluationLeavesIsWhatOPALeaves(t *testing.T) {
	g := load(t)
	var root map[string]any
	if err := json.Unmarshal([]byte(data), &root); err != nil {
		t.Fatal(err)
	}
	modules := []func(*rego.Rego){rego.Module("users.rego", policy), rego.Module("lib.rego", lib)}
	for _, tc := range []struct {
		query    string
		unknowns []string
	}{
		{"data.app.users.allow", nil},
		{"input.x > 1; data.lib.small(input.y)", nil},
		{"input.role == 1; data.lib.small(3)", []string{"input.role", "data.limit"}},
	} {
		q, err := query.Parse(tc.query, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := query.Evaluate(t.Context(), g, tc.query, q, nil, query.Options{Partial: true, Unknowns: tc.unknowns})
		if err != nil {
			t.Fatal(err)
		}
		options := append(slices.Clone(modules), rego.Query(tc.query), rego.Store(inmem.NewFromObject(root)))
		if tc.unknowns != nil {
			options = append(options, rego.Unknowns(tc.unknowns))
		}
		want, err := rego.New(options...).Partial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprint(answer.Partial.Queries, answer.Partial.Support), fmt.Sprint(want.Queries, want.Support); a != b {
			t.Errorf("%s:\n%s\nOPA:\n%s", tc.query, a, b)
		}
	}
}

func TestABuiltinThatFailsIsAnErrorWhereStrict(t *testing.T) {
	g := load(t)
	q, err := query.Parse("data.app.users.bad", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = query.Evaluate(t.Context(), g, "", q, nil, query.Options{Strict: true})
	if err == nil || !strings.Contains(err.Error(), "to_number") {
		t.Error(err)
	}
	if p := query.ProblemsOf(err); len(p) != 1 || p[0].Code != "eval_builtin_error" || p[0].Location == nil || p[0].Location.File != "users.rego" {
		t.Errorf("%+v", p)
	}
}

func TestDependenciesAreThoseThatOPAFinds(t *testing.T) {
	pack, err := engine.Load(t.Context(), policies.FS(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, g := range map[string]*engine.Generation{"small": load(t), "the default pack": pack} {
		compiler, modules := ast.NewCompiler(), map[string]*ast.Module{}
		for _, f := range g.Files() {
			if strings.HasSuffix(f.Path, ".rego") {
				modules[f.Path] = ast.MustParseModule(string(f.Bytes))
			}
		}
		if compiler.Compile(modules); compiler.Failed() {
			t.Fatal(compiler.Errors)
		}
		for _, m := range modules {
			for _, r := range m.Rules {
				ref := m.Package.Path.Extend(r.Head.Ref().ConstantPrefix())
				body := ast.NewBody(ast.NewExpr(ast.NewTerm(ref)))
				got, err := query.DepsOf(g, ref.String())
				if err != nil {
					t.Fatal(err)
				}
				base, err := dependencies.Base(compiler, body)
				if err != nil {
					t.Fatal(err)
				}
				virtual, err := dependencies.Virtual(compiler, body)
				if err != nil {
					t.Fatal(err)
				}
				if a, b := fmt.Sprint(got.Base), fmt.Sprint(texts(base)); a != b {
					t.Errorf("%s: %s: %s, OPA: %s", name, ref, a, b)
				}
				if a, b := fmt.Sprint(got.Virtual), fmt.Sprint(texts(virtual)); a != b {
					t.Errorf("%s: %s: %s, OPA: %s", name, ref, a, b)
				}
			}
		}
	}
}

func texts(refs []ast.Ref) (all []string) {
	slices.SortFunc(refs, ast.RefCompare)
	for _, r := range refs {
		all = append(all, r.String())
	}
	return all
}

func TestRulesThatReferToADocumentAreFound(t *testing.T) {
	g := load(t)
	for text, want := range map[string]string{
		"data.limit":            "[{data.lib.small lib.rego 3}]",
		"lib/small":             "[{data.app.users.allow users.rego 7}]",
		"data.lib":              "[{data.app.users.allow users.rego 7}]",
		"input.role":            "[{data.app.users.allow users.rego 7}]",
		"input":                 "[{data.app.users.allow users.rego 7}]",
		"data.users[1].name":    "[{data.app.users.names users.rego 12} {data.app.users.by_name users.rego 14}]",
		"app.users.allow":       "[]",
		"data.users; data.lib":  "[]",
		"data.app.users[which]": "[]",
	} {
		got, err := query.DepsOf(g, text)
		if err != nil || fmt.Sprint(got.ReferredBy) != want {
			t.Errorf("%s: %v %v, want %s", text, got.ReferredBy, err, want)
		}
	}
	for text, want := range map[string]string{"data.nope": "neither a rule nor data", "x := := 1": "unexpected assign token", "%zz/": "%zz"} {
		if _, err := query.DepsOf(g, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, tc := range sameAsOPA {
		f.Add(tc.query, tc.pkg, strings.Join(tc.imports, ""))
	}
	f.Add("x := := 1", "a b", "data")
	g := load(f)
	f.Fuzz(func(t *testing.T, text, pkg, imported string) {
		q, err := query.Parse(text, pkg, []string{imported})
		if err != nil {
			return
		}
		if _, err := g.Prepare(t.Context(), q, engine.Observation{}); engine.IsCrash(err) {
			t.Error(err)
		}
	})
}
