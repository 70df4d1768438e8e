package value

import "github.com/open-policy-agent/opa/v1/ast"

// Frozen reports whether the node never changes and outlives the decision: a constant of the program, or a value of the
// data. What was made of one, such as a compiled pattern, may be kept with it.
func (n *Node) Frozen() bool { return n.owner == nil }

// PlainInt is the number, if it is an integer of 64 bits that is written as strconv writes it: not 1.0, 1e0 nor -0, which
// builtins may write, or compute with, in another way.
func (n *Node) PlainInt() (int64, bool) {
	return n.num, n.kind == Number && n.marks&isInt != 0 && n.str == ""
}

// Exact reports whether the node is a scalar that every equal value is written like. Of two equal values it does not matter
// then which one a result holds.
func (n *Node) Exact() bool {
	if n.kind == Number {
		return n.marks&isInt != 0 && n.str == ""
	}
	return n.kind < Array
}

// Name is a string that never changes, to look members up with.
func Name(s string) *Node { return &Node{kind: String, str: s, term: ast.InternedTerm(s)} }

// AddDistinct adds an element that the set is known to lack.
func (n *Node) AddDistinct(x *Node) {
	n.items = append(n.owner.grow(n.items, 1), x)
	n.appended(x)
}

// The limits of [Node.Within] that do not depend on the caller.
const (
	withinDepth  = 100 // levels
	withinNumber = 300 // bytes of a number's text
	withinText   = 64  // bytes of text count as one value
)

// Within counts the values in n down from left, shared parts each time and their texts as well, and reports whether they are
// at most as many, not deep, and without a number of very many digits. Whoever compares or writes a value follows it as deep
// as it goes, and a few shared parts can stand for millions.
func (n *Node) Within(left *int) bool { return n.within(left, withinDepth) }

func (n *Node) within(left *int, depth int) bool {
	if n.kind < Array {
		*left -= 1 + len(n.str)/withinText
		return *left >= 0 && !n.IsLongNumber()
	}
	n.open()
	if *left -= 1 + len(n.items); *left < 0 || depth == 0 {
		return false
	}
	for _, x := range n.items {
		if !x.within(left, depth-1) {
			return false
		}
	}
	return true
}

// IsLongNumber reports whether the node is a number whose text is long: OPA's builtins have a limit for its digits.
func (n *Node) IsLongNumber() bool { return n.kind == Number && len(n.str) > withinNumber }
