package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/opacases"
	"defenseclaw/engine/internal/store"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

// excluded are the conformance cases that do not apply here, with the reason.
var excluded = map[string]string{
	"test-baseandvirtualdocs-0704.yaml: baseandvirtualdocs/base/virtual: conflicts": "data that a rule's place holds is refused at load",

	"test-invalidkeyerror-0176.yaml: invalidkeyerror/invalid keys":              usesUnsafe,
	"test-invalidkeyerror-0177.yaml: invalidkeyerror/missing keys":              usesUnsafe,
	"test-netlookupipaddr.yaml: net.lookup_ip_addr/simple ip4 returns that ip4": usesUnsafe,
	"test-netlookupipaddr.yaml: net.lookup_ip_addr/simple ip6 returns that ip6": usesUnsafe,
	"test-netlookupipaddr.yaml: net.lookup_ip_addr/localhost":                   usesUnsafe,
	"test-with-builtin-mock.yaml: withkeyword/builtin: http.send example":       usesUnsafe,
	"test-with-builtin-mock.yaml: withkeyword/builtin: nested, multiple mocks":  usesUnsafe,
	"test-with-builtin-mock.yaml: withkeyword/builtin-builtin: arity 0":         usesUnsafe,
	"test-time-0947.yaml: time/time caching":                                    "uses test.sleep, which only OPA's own tests register",
}

const usesUnsafe = "uses a builtin that reaches out of the process, which is refused at load"

// lenient matches the errors that decisions, being strict about builtins, report and a query only on demand.
var lenient = regexp.MustCompile(`eval_(builtin|type)_error`)

// keep is a module that lets a directory without any other be loaded.
const keep = "package keep_conformance"

func corpusOf(t *testing.T, tc cases.TestCase) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for i, text := range tc.Modules {
		files[fmt.Sprintf("test-%d.rego", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	if len(tc.Modules) == 0 {
		files["keep.rego"] = &fstest.MapFile{Data: []byte(keep)}
	}
	if tc.Data != nil {
		text, err := json.Marshal(*tc.Data)
		if err != nil {
			t.Fatal(err)
		}
		files["data.json"] = &fstest.MapFile{Data: text}
	}
	return files
}

// arrivals are generations of a corpus that were reached in different ways.
// There are three ways for every module; unless thorough, one way for every other case.
func arrivals(t *testing.T, tc cases.TestCase, number int) map[string]*Generation {
	t.Helper()
	ctx := t.Context()
	files := corpusOf(t, tc)
	fresh, err := Load(ctx, files, nil)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	all := map[string]*Generation{"fresh": fresh}
	for i := range tc.Modules {
		if !*thorough && (number%2 == 1 || i != number/6%len(tc.Modules)) {
			continue
		}
		name := fmt.Sprintf("test-%d.rego", i)
		for way, text := range []string{
			keep, // the module is new
			tc.Modules[i] + "\nconformance_rule := 1\n",             // it was another
			"package another.conformance\nimport data.test\nx := 1", // it was of another package
		} {
			if !*thorough && way != number/2%3 {
				continue
			}
			start := maps.Clone(files)
			start[name] = &fstest.MapFile{Data: []byte(text)}
			before, err := Load(ctx, start, nil)
			if err != nil {
				continue // a corpus that is not sound is not served, and nothing follows it
			}
			after, err := Load(ctx, files, before)
			if err != nil {
				t.Fatalf("Load after %s was %s: %v", name, text, err)
			}
			all[fmt.Sprintf("after %s, way %d", name, way)] = after
		}
	}
	return all
}

func TestOPAsConformanceCasesHoldForFreshAndSplicedGenerations(t *testing.T) {
	spliced := 0
	all, err := opacases.All()
	if err != nil {
		t.Fatal(err)
	}
	for number, tc := range all {
		id := path.Base(tc.Filename) + ": " + tc.Note
		t.Run(strings.ReplaceAll(id, "/", "_"), func(t *testing.T) {
			if why := whyExcluded(tc, id); why != "" {
				t.Skip(why)
			}
			for k, v := range tc.Env {
				t.Setenv(k, v)
			}
			for how, g := range arrivals(t, tc, number) {
				if how != "fresh" {
					spliced++
				}
				runCase(t, g, tc, how)
				decideCase(t, g, tc, how)
			}
		})
	}
	t.Logf("%d decisions by a program", programs)
	if programs < 1000 && !t.Failed() {
		t.Errorf("only %d decisions were made by a program", programs)
	}
	if spliced < 500 && !t.Failed() {
		t.Errorf("only %d generations were arrived at by splicing", spliced)
	}
}

func whyExcluded(tc cases.TestCase, id string) string {
	if tc.ExperimentalKeywords {
		return "needs experimental keywords, which are not enabled"
	}
	return excluded[id]
}

func inputOf(tc cases.TestCase) *ast.Term {
	switch {
	case tc.InputTerm != nil:
		return ast.MustParseTerm(*tc.InputTerm)
	case tc.Input != nil:
		return ast.NewTerm(ast.MustInterfaceToValue(*tc.Input))
	default:
		return nil
	}
}

// runCase evaluates the case's query with what the generation compiled and loaded.
func runCase(t *testing.T, g *Generation, tc cases.TestCase, how string) {
	t.Helper()
	query, err := g.policy.Compiler().QueryCompiler().Compile(ast.MustParseBody(tc.Query))
	if err != nil {
		t.Fatalf("%s: compile the query: %v", how, err)
	}
	rs, err := topdown.NewQuery(query).WithCompiler(g.policy.Compiler()).WithStore(g.data).WithTransaction(store.Txn{}).
		WithInput(inputOf(tc)).WithStrictBuiltinErrors(tc.StrictError).WithCancel(topdown.NewCancel()).Run(context.Background())
	var one *topdown.Error
	switch {
	case tc.WantError != nil && (err == nil || !strings.Contains(err.Error(), *tc.WantError)):
		t.Errorf("%s: error %v; want %q", how, err, *tc.WantError)
	case tc.WantErrorCode != nil && (!errors.As(err, &one) || one.Code != *tc.WantErrorCode):
		t.Errorf("%s: error %v; want code %s", how, err, *tc.WantErrorCode)
	case err != nil && tc.WantError == nil && tc.WantErrorCode == nil:
		t.Errorf("%s: %v", how, err)
	case err == nil && tc.WantResult != nil:
		if got, want := resultSet(t, rs, tc), wantedSet(*tc.WantResult); got.Compare(want) != 0 {
			t.Errorf("%s: got %v; want %v", how, got, want)
		}
	}
}

func wantedSet(want []map[string]any) ast.Set {
	set := ast.NewSet()
	for _, b := range want {
		set.Add(ast.NewTerm(ast.MustInterfaceToValue(b)))
	}
	return set
}

func resultSet(t *testing.T, rs topdown.QueryResultSet, tc cases.TestCase) ast.Set {
	t.Helper()
	set := ast.NewSet()
	for _, b := range rs {
		object := map[string]any{}
		for k, term := range b {
			v, err := ast.JSON(term.Value)
			if err != nil {
				t.Fatal(err)
			}
			if list, ok := v.([]any); ok && tc.SortBindings {
				slices.SortFunc(list, util.Compare)
			}
			if !tc.IgnoreGeneratedVars || !strings.HasPrefix(string(k), "__localq") {
				object[string(k)] = v
			}
		}
		set.Add(ast.NewTerm(ast.MustInterfaceToValue(object)))
	}
	return set
}

// ofPath matches the queries that ask for one document, as decisions do.
var ofPath = regexp.MustCompile(`^data((?:\.[a-zA-Z_][a-zA-Z0-9_]*)+) = ([a-z]\w*)$`)

// decideCase asks the generation as callers do, where the case asks for a document.
func decideCase(t *testing.T, g *Generation, tc cases.TestCase, how string) {
	t.Helper()
	m := ofPath.FindStringSubmatch(tc.Query)
	if m == nil || m[2] == "input" || tc.WantResult == nil || tc.WantErrorCode != nil || tc.SortBindings {
		return
	}
	var input ast.Value
	if term := inputOf(tc); term != nil {
		input = term.Value
	}
	path := Path(strings.Split(m[1], ".")[1:])
	decideOnce(t, g, tc, how, path, m[2], input)
	if err := g.evaluator.Compile(t.Context(), eval.Path(path)); err == nil {
		decideOnce(t, g, tc, how+", program", path, m[2], input)
		for _, w := range g.evaluator.Ways() {
			if slices.Equal(w.Path, eval.Path(path)) && w.ByProgram > w.Asked {
				programs++
			}
		}
	}
}

// programs counts the decisions that were made by programs.
var programs int

func decideOnce(t *testing.T, g *Generation, tc cases.TestCase, how string, path Path, name string, input ast.Value) {
	t.Helper()
	result, defined, err := g.Decide(t.Context(), path, input)
	if err != nil && !tc.StrictError && lenient.MatchString(err.Error()) {
		return // runCase saw to it
	}
	if err != nil {
		t.Errorf("%s: Decide: %v", how, err)
		return
	}
	got := ast.NewSet()
	if defined {
		got.Add(ast.NewTerm(ast.MustInterfaceToValue(map[string]any{name: result})))
	}
	if want := wantedSet(*tc.WantResult); got.Compare(want) != 0 {
		t.Errorf("%s: Decide gave %v; want %v", how, got, want)
	}
}
