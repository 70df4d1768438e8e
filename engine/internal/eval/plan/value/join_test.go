package value

import (
	"fmt"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

func frozen(t testing.TB, text string) *Node {
	t.Helper()
	n, err := Constant(ast.MustParseTerm(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// elements are of every kind, and some are equal and written differently.
var elements = []string{
	`{"k": 1}`, `{"k": 1.0}`, `{"k": "1"}`, `{"k": null}`, `{"k": false}`, `{"k": {"a": 1}}`, `{"k": [1]}`, `{}`, `1`, `"k"`, `null`, `["k"]`,
	`{"k": 10e-1}`, `{"k": 0}`, `{"k": -0.0}`, `{"k": 9007199254740993}`, `{"k": 9007199254740993.0}`, `{"k": "a", "l": 1}`, `{"k": "a", "l": 2}`,
}

func always() bool { return true }

func TestMatchesAreInOrderAndLackNone(t *testing.T) {
	text := "["
	for i := range 200 {
		text += elements[(i*7)%len(elements)] + ","
	}
	list := frozen(t, text[:len(text)-1]+"]")
	name := frozen(t, `"k"`)
	m := list.Matches(NewJoin([]Way{{Names: []*Node{name}}}), always)
	for _, sought := range []string{"1", "1.0", `"1"`, "null", "false", "0", "-0.0", "9007199254740993", `"a"`, `"none"`} {
		x := frozen(t, sought)
		found, last := map[int]bool{}, -1
		for i := m.First(JoinHash(0, x)); i >= 0; i = m.Next(i) {
			if i <= last {
				t.Fatalf("%s: item %d comes after %d", sought, i, last)
			}
			found[i], last = true, i
		}
		for i := range list.Len() {
			if k, _ := list.Elem(i).Member(name); k != nil && Equal(k, x) && !found[i] {
				t.Errorf("%s: item %d, %v, is not found", sought, i, list.Elem(i).Term())
			}
		}
	}
}

func TestDecisionsShareAnIndex(t *testing.T) {
	text := "[0"
	for i := range 1000 {
		text += fmt.Sprintf(`, {"k": %d}`, i%10)
	}
	list, by := frozen(t, text+"]"), NewJoin([]Way{{Names: []*Node{frozen(t, `"k"`)}}})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			m, n := list.Matches(by, always), 0
			for i := m.First(JoinHash(0, frozen(t, "3"))); i >= 0; i = m.Next(i) {
				n++
			}
			if n < 100 {
				t.Errorf("%d of 100 items are found", n)
			}
		})
	}
	group.Wait()
}

func TestACollectionHasFewIndexes(t *testing.T) {
	list := frozen(t, `[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]`)
	for i := range 2 * maxJoins {
		m := list.Matches(NewJoin([]Way{{Names: []*Node{frozen(t, fmt.Sprintf("%q", fmt.Sprint("k", i)))}}}), always)
		if made := m != nil; made != (i < maxJoins) {
			t.Errorf("index %d: %v", i, made)
		}
	}
}

func TestAnIndexDoesNotOutliveAChange(t *testing.T) {
	var a Arena
	a.Reset(1 << 20)
	set, by := a.Empty(Set, 0), NewJoin([]Way{{}})
	for i := range 40 {
		set.Add(a.Int(int64(40 - i)))
	}
	set.Sort()
	if m := set.Matches(by, always); m.First(JoinHash(0, a.Int(1))) != 0 {
		t.Error("1 is not the first of 40")
	}
	set.Add(a.Int(0))
	set.Sort()
	if m := set.Matches(by, always); m.First(JoinHash(0, a.Int(0))) != 0 || m.First(JoinHash(0, a.Int(1))) != 1 {
		t.Error("0 and 1 are not the first of 41")
	}
}
