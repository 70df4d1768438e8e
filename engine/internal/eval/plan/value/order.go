package value

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Equal reports whether two values are the same, as package ast decides it.
func Equal(a, b *Node) bool {
	if a == b {
		return true
	}
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case String:
		return a.str == b.str
	case Boolean:
		return a.num == b.num
	case Number:
		return compareNumbers(a, b) == 0
	case Null:
		return true
	}
	a.open()
	b.open()
	if len(a.items) != len(b.items) {
		return false
	}
	switch a.kind {
	case Array:
		for i, x := range a.items {
			if !Equal(x, b.items[i]) {
				return false
			}
		}
	case Object:
		return equalMembers(a, b, false) && equalMembers(a, b, true)
	default:
		for _, x := range a.items {
			if b.find(x, 1) < 0 {
				return false
			}
		}
	}
	return true
}

// equalMembers compares the members of two objects that are scalars in the first, or the others. Scalars are compared first:
// most objects that differ do so in one of them.
func equalMembers(a, b *Node, deep bool) bool {
	for i := 0; i < len(a.items); i += 2 {
		if x := a.items[i+1]; (x.kind >= Array) == deep {
			if at := b.find(a.items[i], 2); at < 0 || !Equal(x, b.items[at+1]) {
				return false
			}
		}
	}
	return true
}

// Compare orders two values as ast.Compare does.
func Compare(a, b *Node) int {
	if a == b {
		return 0
	}
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case Null:
		return 0
	case Boolean:
		return cmp.Compare(a.num, b.num)
	case Number:
		return compareNumbers(a, b)
	case String:
		return strings.Compare(a.str, b.str)
	}
	a.Sort()
	b.Sort()
	// Of objects this compares keys and values by turns, which is ast's order.
	return slices.CompareFunc(a.items, b.items, Compare)
}

// compareNumbers leaves to ast what is no integer: 1.0 is 1, and so is 10e-1.
func compareNumbers(a, b *Node) int {
	if a.marks&b.marks&isInt != 0 {
		return cmp.Compare(a.num, b.num)
	}
	return ast.NumberCompare(ast.Number(a.numberText()), ast.Number(b.numberText()))
}

// Sort brings the elements of a set, or the pairs of an object, into order. Loops and comparisons need it; most
// sets that a decision makes are only looked into.
func (n *Node) Sort() {
	n.open()
	if n.marks&sorted != 0 || n.kind < Object {
		return
	}
	n.marks |= sorted
	// A copy is sorted, since a loop may be going through the items.
	if n.kind == Set {
		if !slices.IsSortedFunc(n.items, Compare) {
			n.items, n.index = n.copied(), nil
			slices.SortFunc(n.items, Compare)
		}
		return
	}
	if !pairs(n.items).areSorted() {
		n.items, n.index = n.copied(), nil
		pairs(n.items).sort()
	}
}

func (n *Node) copied() []*Node {
	if n.owner == nil { // it is being frozen
		return slices.Clone(n.items)
	}
	return append(n.owner.take(len(n.items)), n.items...)
}

type pairs []*Node

func (p pairs) areSorted() bool {
	for i := 2; i < len(p); i += 2 {
		if Compare(p[i-2], p[i]) > 0 {
			return false
		}
	}
	return true
}

// sort inserts where there are few, as objects of inputs have; the rest is sorted by copies of the pairs.
func (p pairs) sort() {
	const few = 24
	if len(p) <= few {
		for i := 2; i < len(p); i += 2 {
			for j := i; j > 0 && Compare(p[j-2], p[j]) > 0; j -= 2 {
				p[j-2], p[j-1], p[j], p[j+1] = p[j], p[j+1], p[j-2], p[j-1]
			}
		}
		return
	}
	all := make([][2]*Node, len(p)/2)
	for i := range all {
		all[i] = [2]*Node{p[2*i], p[2*i+1]}
	}
	slices.SortFunc(all, func(a, b [2]*Node) int { return Compare(a[0], b[0]) })
	for i, pair := range all {
		p[2*i], p[2*i+1] = pair[0], pair[1]
	}
}

// float is the number as a float64, by which equal numbers hash alike.
func (n *Node) float() float64 {
	if n.marks&isInt != 0 {
		return float64(n.num)
	}
	return math.Float64frombits(uint64(n.num)) //nolint:gosec // its bits were kept there
}
