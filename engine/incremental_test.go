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

	"defenseclaw/engine/internal/compile"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/eval"
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
	a, b := describe(spliced.policy, nil), describe(fresh.policy, nil)
	if a != b {
		b = describe(fresh.policy, ownTypes(t, fresh))
	}
	if a != b {
		t.Fatalf("%s\nspliced:\n%s\nfresh:\n%s", show(w.files), a, b)
	}
	compareAnswers(t, w, spliced, fresh)
	return spliced
}

// ownTypes are the types that the rules have when each package is compiled with no more than what it refers to. Where OPA's type checker joins the types of several rules at one place,
// it writes into types that these have from elsewhere, so that in a larger compiler a rule's type
// depends on who else refers to it, and who was checked before that by chance.
func ownTypes(t tB, g *Generation) map[unit.Key]types.Type {
	t.Helper()
	own := map[unit.Key]types.Type{}
	for _, key := range g.policy.Graph().Keys() {
		compiler := dialect.NewCompiler()
		if compiler.Compile(g.policy.SyntaxFor(unit.SetOf(key))); compiler.Failed() {
			t.Fatalf("%q by itself: %v", key, compiler.Errors)
		}
		for _, e := range g.policy.Signature(key) {
			own[e.Place] = compiler.TypeEnv.GetByRef(e.Ref)
		}
	}
	return own
}

func buildWhole(ctx context.Context, _ *compile.Policy, e compile.Edit, all func() []*unit.Module) (*compile.Policy, error) {
	return compile.CompileWhole(ctx, all(), e.Data, e.Missing)
}

// loadWhole has one compiler compile everything: what every other way of loading has to equal.
func loadWhole(ctx context.Context, src fs.FS) (*Generation, error) {
	reading, err := read(ctx, src, source.Options{})
	if err != nil {
		return nil, err
	}
	if err := needModules(reading); err != nil {
		return nil, err
	}
	s, err := parseNext(ctx, reading, nil)
	if err != nil {
		return nil, err
	}
	policy, err := s.compileBy(ctx, buildWhole)
	if err != nil {
		return nil, err
	}
	return newGeneration(s, policy, eval.Config{}), nil
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

// describe writes down everything of a policy that evaluation looks at, but for the numbers of generated
// variables. own, if not nil, replaces the types of rules.
func describe(p *compile.Policy, own map[unit.Key]types.Type) string {
	var b strings.Builder
	describeNode(&b, p.Compiler(), p.Compiler().RuleTree, 0)
	for _, key := range p.Graph().Keys() {
		var files []string
		for _, m := range p.Graph().Package(key).Modules {
			if p.CompiledModule(key, m.File) != nil {
				files = append(files, m.File)
			}
		}
		fmt.Fprintf(&b, "%q %q\n", key, slices.Sorted(slices.Values(files)))
		for _, e := range p.Signature(key) {
			_, function := p.Compiler().TypeEnv.GetByRef(e.Ref).(*types.Function)
			tpe := e.Type
			if own != nil {
				tpe = own[e.Place]
			}
			fmt.Fprintf(&b, "  %s kind %v arity %d type %v function %v\n", e.Ref, e.Kind, e.Arity, tpe, function)
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
	for _, key := range fresh.policy.Graph().Keys() {
		paths[slashed(key)] = true
		for _, e := range fresh.policy.Signature(key) {
			paths[slashed(e.Place)] = true
			paths[slashed(e.Place)+"/x"] = true
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
		got := spliced.policy.CheckPath(p.ref())
		if got == nil {
			_, got = spliced.policy.Compiler().QueryCompiler().Compile(query)
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
				lean := *g
				lean.policy = g.policy.WithoutSyntax()
				g = &lean
				runtime.GC()
			}
			w.edit()
			next := loadBoth(t, w, g)
			if next == nil {
				refused++
				continue
			}
			served++
			if g != nil && g.policy.WhyWhole() == "" && next.policy.WhyWhole() == "" {
				spliced++
			}
			g = next
		}
	})
}
