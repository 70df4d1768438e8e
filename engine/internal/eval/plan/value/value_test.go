package value_test

import (
	"fmt"
	"sync"
	"testing"

	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// terms are values of every kind, with numbers that are equal and written differently.
func terms() *rapid.Generator[*ast.Term] {
	scalar := rapid.OneOf(
		rapid.SampledFrom([]*ast.Term{
			ast.InternedNullTerm, ast.InternedBooleanTrue, ast.InternedBooleanFalse, number("0"), number("-0"), number("0.0"), number("1.0"),
			number("1e0"), number("10e-1"), number("-1.5"), number("9223372036854775807"), number("9223372036854775808"),
			number("9223372036854775809"), number("1e300"), number("0.1"), number("1e-1"), number("2047.5"), number("1234567890123456789012345678901"),
		}),
		rapid.Map(rapid.IntRange(-3, 1030), ast.IntNumberTerm),
		rapid.Map(rapid.SampledFrom([]string{"", "a", "b", "ab", "0", "1", "é", "\u2028", "long enough to be no small text at all"}), ast.StringTerm),
	)
	return rapid.Custom(func(t *rapid.T) *ast.Term { return compound(t, scalar, 3) })
}

func number(text string) *ast.Term { return ast.NewTerm(ast.Number(text)) }

func compound(t *rapid.T, scalar *rapid.Generator[*ast.Term], depth int) *ast.Term {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth == 0 || kind > 2 {
		return scalar.Draw(t, "scalar")
	}
	n := rapid.SampledFrom([]int{0, 1, 2, 3, 12, 40}).Draw(t, "n") / (4 - depth)
	var members []*ast.Term
	var pairs [][2]*ast.Term
	for range n {
		members = append(members, compound(t, scalar, depth-1))
		pairs = append(pairs, [2]*ast.Term{compound(t, scalar, depth-1), compound(t, scalar, depth-1)})
	}
	switch kind {
	case 0:
		return ast.ArrayTerm(members...)
	case 1:
		return ast.SetTerm(members...)
	default:
		o := ast.NewObject() // ObjectTerm keeps a key that is given twice, and Insert loses others with its hash
		for _, p := range pairs {
			if o.Get(p[0]) == nil {
				o.Insert(p[0], p[1])
			}
		}
		return ast.NewTerm(o)
	}
}

func TestValuesCompareAsOPAs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a value.Arena
		a.Reset(1 << 40)
		x, y := terms().Draw(t, "x"), terms().Draw(t, "y")
		if rapid.Bool().Draw(t, "same") {
			y = x
		}
		want := sign(x.Value.Compare(y.Value))
		for _, nx := range nodes(t, &a, x) {
			for _, ny := range nodes(t, &a, y) {
				if got := sign(value.Compare(nx, ny)); got != want {
					t.Fatalf("Compare(%v, %v) is %d; want %d", x, y, got, want)
				}
				if got := value.Equal(nx, ny); got != (want == 0) {
					t.Fatalf("Equal(%v, %v) is %v", x, y, got)
				}
			}
			if back := nx.Term(); back.Value.Compare(x.Value) != 0 || back.String() != x.String() {
				t.Fatalf("%v came back as %v", x, back)
			}
		}
	})
}

// nodes are the ways to have a value: taken over, frozen, and made member by member.
func nodes(t *rapid.T, a *value.Arena, x *ast.Term) []*value.Node {
	frozen, err := value.Constant(x)
	if err != nil {
		t.Fatal(err)
	}
	return []*value.Node{a.FromAST(x), frozen, made(a, x)}
}

func made(a *value.Arena, x *ast.Term) *value.Node {
	switch v := x.Value.(type) {
	case *ast.Array:
		n := a.Empty(value.Array, 0)
		v.Foreach(func(t *ast.Term) { n.Append(made(a, t)) })
		return n
	case ast.Set:
		n := a.Empty(value.Set, 0)
		for _, t := range backwards(v.Slice()) {
			n.Add(made(a, t))
			n.Add(made(a, t))
		}
		return n
	case ast.Object:
		n := a.Empty(value.Object, 0)
		for _, k := range backwards(v.Keys()) {
			n.Insert(made(a, k), value.True)
			n.Insert(made(a, k), made(a, v.Get(k)))
		}
		return n
	default:
		return a.FromAST(x)
	}
}

func backwards(terms []*ast.Term) []*ast.Term {
	var out []*ast.Term
	for i := range terms {
		out = append(out, terms[len(terms)-1-i])
	}
	return out
}

func sign(i int) int { return min(max(i, -1), 1) }

func TestMembersAreFoundAsInOPAsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a value.Arena
		a.Reset(1 << 40)
		x, k := terms().Draw(t, "x"), terms().Draw(t, "k")
		var want *ast.Term
		switch v := x.Value.(type) {
		case ast.Object:
			if v.Len() > 0 && rapid.Bool().Draw(t, "one of them") {
				k = rapid.SampledFrom(v.Keys()).Draw(t, "key")
			}
			want = v.Get(k)
		case ast.Set:
			if v.Len() > 0 && rapid.Bool().Draw(t, "one of them") {
				k = rapid.SampledFrom(v.Slice()).Draw(t, "key")
			}
			if v.Contains(k) {
				want = k
			}
		case *ast.Array:
			want = v.Get(k)
		default:
			return
		}
		for _, n := range nodes(t, &a, x) {
			got := n.Get(a.FromAST(k))
			if (got == nil) != (want == nil) || got != nil && got.Term().Value.Compare(want.Value) != 0 {
				t.Fatalf("%v[%v] is %v; want %v", x, k, got, want)
			}
		}
	})
}

func TestAnArenaCountsAndForgets(t *testing.T) {
	var a value.Arena
	a.Reset(1 << 20)
	n := a.Empty(value.Array, 0)
	for i := range 1 << 20 {
		if n.Append(a.String("x")); a.Over() {
			if i < 1000 {
				t.Errorf("over after %d", i)
			}
			break
		}
	}
	if !a.Over() {
		t.Error("a million strings fit in a mebibyte")
	}
	a.Reset(1 << 20)
	if a.Over() {
		t.Error("nothing was made since the arena was reset")
	}
	if s := a.Empty(value.Set, 1); s.Len() != 0 || s.Kind() != value.Set {
		t.Error("a node has what another left")
	}
}

func TestFrozenDataIsTakenOverWhereItIsTheSame(t *testing.T) {
	shared := ast.MustParseTerm(`{"x": [1, {"y": [2]}]}`)
	first := ast.NewObject([2]*ast.Term{ast.StringTerm("a"), shared}, [2]*ast.Term{ast.StringTerm("b"), ast.MustParseTerm(`[1]`)})
	all := &value.Named{All: true}
	f := value.NewFreezer(nil)
	before, err := f.Data(first, all)
	if err != nil {
		t.Fatal(err)
	}
	key := func(s string) *value.Node { n, _ := value.Constant(ast.StringTerm(s)); return n }
	for i := range 3 {
		next := ast.NewObject([2]*ast.Term{ast.StringTerm("a"), shared}, [2]*ast.Term{ast.StringTerm("b"), ast.IntNumberTerm(i)})
		f = value.NewFreezer(f)
		after, err := f.Data(next, all)
		if err != nil {
			t.Fatal(err)
		}
		if after.Get(key("a")) != before.Get(key("a")) {
			t.Errorf("generation %d froze the same object again", i)
		}
	}
}

func TestPartsOfTheDataThatAreNotNamedAreLeftOut(t *testing.T) {
	root := ast.MustParseTerm(`{"a": {"b": 1, "c": 2}, "d": 3}`).Value.(ast.Object)
	var named value.Named
	named.Add([]string{"a", "b"}, true)
	named.Add([]string{"nothing"}, true)
	n, err := value.NewFreezer(nil).Data(root, &named)
	if err != nil {
		t.Fatal(err)
	}
	key := func(s string) *value.Node { k, _ := value.Constant(ast.StringTerm(s)); return k }
	a := n.Get(key("a"))
	if !n.Partial() || !a.Partial() || a.Len() != 1 || a.Get(key("b")) == nil {
		t.Error("only a.b was named")
	}
	for name, want := range map[string]bool{"c": true, "b2": false} {
		if got := value.LeftOut(a, key(name)); got != want {
			t.Errorf("a.%s left out: %v", name, got)
		}
	}
}

func TestNumbersBeyondFloatsHaveNoNode(t *testing.T) {
	var a value.Arena
	a.Reset(1 << 20)
	a.FromAST(ast.ArrayTerm(number("1e999"))).Len()
	if a.Err() == nil {
		t.Error("1e999 has a node")
	}
	if _, err := value.Constant(ast.ArrayTerm(number("-1e999"))); err == nil {
		t.Error("-1e999 has a constant node")
	}
}

func ExampleArena() {
	var a value.Arena
	a.Reset(1 << 20)
	s := a.Empty(value.Set, 0)
	s.Add(a.String("b"))
	s.Add(a.String("a"))
	s.Add(a.String("b"))
	fmt.Println(s.Term())
	// Output: {"a", "b"}
}

// A value that has itself in two places, again and again, is short in memory and has no end written out.
func TestAConstantHasAPartOnce(t *testing.T) {
	term := ast.MustParseTerm(`["a"]`)
	for range 60 {
		term = ast.ArrayTerm(term, term)
	}
	kept, err := value.Constant(term)
	if err != nil || kept.Kind() != value.Array {
		t.Fatal(kept, err)
	}
}

// TestTwoGenerationsFreezeAtOnce: a decision may have a program made for its generation while the next one takes over what was
// made for it. The race detector tells.
func TestTwoGenerationsFreezeAtOnce(t *testing.T) {
	before := value.NewFreezer(nil)
	all := &value.Named{All: true}
	data := func(i int) ast.Object {
		return ast.MustParseTerm(fmt.Sprintf(`{"a": {"b": [%d, {"c": %[1]d}]}}`, i)).Value.(ast.Object)
	}
	shared := data(0)
	if _, err := before.Data(shared, all); err != nil {
		t.Fatal(err)
	}
	now := value.NewFreezer(before)
	var running sync.WaitGroup
	for _, f := range []*value.Freezer{before, now} {
		running.Go(func() {
			for i := range 100 {
				for _, d := range []ast.Object{data(i), shared} {
					if _, err := f.Data(d, all); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	running.Wait()
}
