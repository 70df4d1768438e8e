package probe_test

import (
	"context"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/probe"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestATestPassesBeforeTheEditAndFailsAfterIt runs what is written by OPA's tester.
func TestATestPassesBeforeTheEditAndFailsAfterIt(t *testing.T) {
	wrote := 0
	for _, p := range packs(t) {
		c := p.edits[0]
		after, files := p.after(t, c), p.edited(t, c)
		found, err := probe.Run(t.Context(), p.base, after, p.seeds, probe.Options{CPU: time.Minute, MaxInput: 60, At: noon})
		if err != nil {
			t.Fatal(err)
		}
		text, left, err := probe.AsTest(t.Context(), p.base, after, found.Found, noon)
		if err != nil || len(left) > 0 {
			t.Errorf("%s: %v %v", p.name, left, err)
		}
		if text == "" {
			continue
		}
		wrote++
		for _, side := range []struct {
			files fstest.MapFS
			pass  bool
		}{{p.files, true}, {files, false}} {
			with := maps.Clone(side.files)
			with["found_test.rego"] = &fstest.MapFile{Data: []byte(text)}
			for name, passed := range runTests(t, with) {
				if passed != side.pass {
					t.Errorf("%s, %s: passed is %v\n%s", p.name, name, passed, text)
				}
			}
		}
	}
	if wrote < 6 {
		t.Errorf("%d packs have tests", wrote)
	}
}

func runTests(t *testing.T, files fs.FS) map[string]bool {
	t.Helper()
	suite, err := engine.LoadSuite(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	txn, err := suite.Store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Store.Abort(context.Background(), txn)
	results, err := tester.NewRunner().SetCompiler(suite.NewCompiler()).SetStore(suite.Store).SetModules(suite.Modules).RunTests(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	passed := map[string]bool{}
	for r := range results {
		if r.Package == "data.found_test" {
			passed[r.Name] = r.Pass()
		}
	}
	return passed
}

func TestSeedsAreTheConstantInputsOfTests(t *testing.T) {
	m, err := ast.ParseModule("a_test.rego", `package p.a_test

test_x if {
	data.p.a.x with input as {"n": 1}
	data.p.a.x with input as {"n": 1}
	data.p.a.x with input as {"n": data.m}
	data.p.a.x with input.n as 3
}
`)
	if err != nil {
		t.Fatal(err)
	}
	got := probe.SeedsOfTests(map[string]*ast.Module{"a_test.rego": m})
	if len(got) != 1 || got[0].Path != "p/a" || string(got[0].Input) != `{"n":1}` {
		t.Errorf("%+v", got)
	}
}

func TestWhatCannotBeATestIsNamed(t *testing.T) {
	g := load(t, fstest.MapFS{"p.rego": {Data: []byte("package p\n\nx := 1\n")}}, nil)
	text, left, err := probe.AsTest(t.Context(), g, g, []review.Flip{
		{Path: "p/x", Input: []byte(`{}`), Before: []byte("1"), After: []byte("2")}, {Path: "p/x", Input: []byte(`{}`), BeforeError: "no"},
	}, noon)
	if err != nil || text != "" || len(left) != 2 || !strings.Contains(left[0], "does not tell the two apart") || !strings.Contains(left[1], "the base has no answer: no") {
		t.Errorf("%q %q %v", text, left, err)
	}
}
