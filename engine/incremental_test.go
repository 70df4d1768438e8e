package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
	"pgregory.net/rapid"
)

var thorough = flag.Bool("thorough", false, "prove sameness at length")

// tB is what testing.TB and *rapid.T have in common.
type tB interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// loadBoth loads a source by splicing into previous and afresh, and compares what comes of it. It
// returns the spliced generation, nil when the source is refused.
func loadBoth(t tB, w *wild, previous *Generation) *Generation {
	t.Helper()
	ctx := context.Background()
	spliced, err1 := Load(ctx, w.fs(), previous)
	fresh, err2 := loadWhole(ctx, w.fs())
	if a, b := problems(err1), problems(err2); a != b {
		t.Fatalf("%s\nspliced is refused for:\n%s\nfresh for:\n%s\n%v\n%v", show(w.files), a, b, err1, err2)
	}
	if err2 != nil {
		return nil
	}
	a, b := describe(spliced.policy), describe(fresh.policy)
	if a != b {
		b = describe(withTypesOfOwn(t, fresh))
	}
	if a != b {
		t.Fatalf("%s\nspliced:\n%s\nfresh:\n%s", show(w.files), a, b)
	}
	compareAnswers(t, w, spliced, fresh)
	return spliced
}

// withTypesOfOwn is the policy with the types that its rules have when each package is compiled with no
// more than what it refers to. Where OPA's type checker joins the types of several rules at one place,
// it writes into types that these have from elsewhere, so that in a larger compiler a rule's type
// depends on who else refers to it, and who was checked before that by chance.
func withTypesOfOwn(t tB, g *Generation) *policy {
	t.Helper()
	p := *g.policy
	packages := map[unit.Key]*compiledPackage{}
	for key, whole := range g.policy.packages.All() {
		own := *whole
		own.exports = map[unit.Key]export{}
		compiler, _, err := compileOnce(context.Background(), modulesIn(p.graph, p.graph.Closure(p.graph.Entangled(unit.SetOf(key)))), g.data, nil)
		if err != nil || compiler.Failed() {
			t.Fatalf("%q by itself: %v, %v", key, err, compiler.Errors)
		}
		for place, e := range whole.exports {
			e.tpe = compiler.TypeEnv.GetByRef(e.ref)
			own.exports[place] = e
		}
		packages[key] = &own
	}
	p.packages = p.packages.With(packages)
	return &p
}

// loadWhole has one compiler compile everything: what every other way of loading has to equal.
func loadWhole(ctx context.Context, src fs.FS) (*Generation, error) {
	return Load(ctx, src, &Generation{reading: &source.Reading{}, data: &store{root: ast.NewObject()}, policy: &policy{whole: "the test wants it"}})
}

func show(files map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "-- %s --\n%s\n", name, files[name])
	}
	return b.String()
}

// cycle is how a recursion error says by which rules it found it; which of several is chance.
var cycle = regexp.MustCompile(`(recursive): .*`)

func problems(err error) string {
	if err == nil {
		return ""
	}
	refused := new(Refused)
	if !errors.As(err, &refused) {
		return err.Error()
	}
	var b strings.Builder
	for _, d := range refused.Diagnostics {
		fmt.Fprintln(&b, cycle.ReplaceAllString(d.String(), "$1"), d.Details, d.Text)
	}
	if refused.Err != nil {
		fmt.Fprintln(&b, refused.Err)
	}
	return fmt.Sprintln(refused.Stage) + b.String()
}

var generated = regexp.MustCompile(`__local\d+__`)

// describe writes down everything of a policy that evaluation looks at, but for the numbers of
// generated variables.
func describe(p *policy) string {
	var b strings.Builder
	describeNode(&b, p.compiler, p.compiler.RuleTree, 0)
	for _, key := range p.graph.Keys() {
		own := p.packages.Get(key)
		fmt.Fprintf(&b, "%q %q\n", key, slices.Sorted(maps.Keys(own.modules)))
		exports := own.exports
		for _, place := range slices.Sorted(maps.Keys(exports)) {
			e := exports[place]
			_, function := p.compiler.TypeEnv.GetByRef(e.ref).(*types.Function)
			fmt.Fprintf(&b, "  %s kind %v arity %d type %v function %v\n", e.ref, e.kind, e.arity, e.tpe, function)
		}
	}
	return b.String()
}

func describeNode(b *strings.Builder, c *ast.Compiler, node *ast.TreeNode, depth int) {
	fmt.Fprintf(b, "%s%v sorted %v hidden %v indexed %v\n", strings.Repeat(" ", depth), node.Key, node.Sorted, node.Hide, node.Index != nil)
	for _, rule := range node.Values {
		names := map[string]string{}
		text := generated.ReplaceAllStringFunc(rule.String(), func(v string) string {
			if names[v] == "" {
				names[v] = fmt.Sprintf("v%d", len(names))
			}
			return names[v]
		})
		indices := 0
		ast.WalkTerms(rule, func(t *ast.Term) bool {
			if c.ComprehensionIndex(t) != nil {
				indices++
			}
			return false
		})
		fmt.Fprintf(b, "%s- %s %s comprehension indices %d\n", strings.Repeat(" ", depth), rule.Loc(), text, indices)
	}
	for _, key := range slices.SortedFunc(maps.Keys(node.Children), ast.Value.Compare) {
		describeNode(b, c, node.Children[key], depth+1)
	}
}

// compareAnswers asks both generations for data, every package and every rule.
func compareAnswers(t tB, w *wild, spliced, fresh *Generation) {
	t.Helper()
	paths := map[string]bool{"": true, "base": true, "gone/away": true}
	for _, key := range fresh.policy.graph.Keys() {
		paths[slashed(key)] = true
		for place := range fresh.policy.packages.Get(key).exports {
			paths[slashed(place)] = true
			paths[slashed(place)+"/x"] = true
		}
	}
	// OPA's own compiler, with the types of everything, says which paths cannot be asked for.
	opa := dialect.NewCompiler()
	modules := map[string]*ast.Module{}
	for _, p := range fresh.parsed {
		if p.Unit != nil {
			modules[p.Source.Path] = p.Module()
		}
	}
	opa.Compile(modules)
	for path := range paths {
		p, err := ParsePath(path)
		if err != nil {
			t.Fatalf("%v", err)
		}
		query := ast.NewBody(ast.NewExpr(ast.NewTerm(p.ref())))
		_, want := opa.QueryCompiler().Compile(query)
		got := spliced.policy.checkPath(p.ref())
		if got == nil {
			_, got = spliced.policy.compiler.QueryCompiler().Compile(query)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s\ndata/%s: spliced says %v, OPA %v", show(w.files), path, got, want)
		}
	}
	for _, input := range []ast.Value{nil, ast.MustParseTerm(`{"x": 1, "k": "x"}`).Value} {
		for path := range paths {
			if a, b := answerOf(t, spliced, path, input), answerOf(t, fresh, path, input); a != b {
				t.Fatalf("%s\ndata/%s with input %v: spliced says\n%s\nfresh says\n%s", show(w.files), path, input, a, b)
			}
		}
	}
}

func slashed(key unit.Key) string {
	return strings.ReplaceAll(strings.TrimSuffix(string(key), "\x00"), "\x00", "/")
}

func answerOf(t tB, g *Generation, path string, input ast.Value) string {
	t.Helper()
	p, err := ParsePath(path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the machine may be busy
	defer cancel()
	result, defined, err := g.Decide(ctx, p, input)
	if err != nil {
		code, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "evaluate "+p.String()+": "), ":")
		if strings.HasPrefix(err.Error(), "prepare") {
			return err.Error()
		}
		return "error " + code // which of several conflicts is met first is chance
	}
	if !defined {
		return "undefined"
	}
	return ast.MustInterfaceToValue(result).String()
}

func TestASplicedGenerationIsTheSameAsAFreshOne(t *testing.T) {
	var served, spliced, refused int
	defer func() {
		t.Logf("%d edits served, %d of them spliced; %d refused", served, spliced, refused)
		if spliced < served/2 || refused < served/10 {
			t.Error("the corpora are not of the kinds that this test is about")
		}
	}()
	rapid.Check(t, func(t *rapid.T) {
		w := newWild(t)
		g := loadBoth(t, w, nil)
		edits := 3
		if *thorough {
			edits = 10
		}
		for range edits {
			if g != nil && rapid.Bool().Draw(t, "forget the syntax") {
				g.policy.recent = nil
				runtime.GC()
			}
			w.edit()
			next := loadBoth(t, w, g)
			if next == nil {
				refused++
				continue
			}
			served++
			if g != nil && g.policy.whole == "" && next.policy.whole == "" {
				spliced++
			}
			g = next
		}
	})
}
