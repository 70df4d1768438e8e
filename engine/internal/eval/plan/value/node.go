package value

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// Kind is what a value is. The order is that of package ast.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota
	Boolean
	Number
	String
	Array
	Object
	Set
)

// Marks of a node.
const (
	isInt   uint8 = 1 << iota // num is the number
	lazy                      // items are still to be made of term
	sorted                    // items are in order
	ofData                    // of the document data: see [Node.OfData]
	partial                   // only the members that a program looks up are there
)

// Node is one value. Programs compare the addresses of nodes first: constants and data have one each.
type Node struct {
	kind  Kind
	marks uint8
	num   int64     // of an integer; the bits of a float64 for another number; 1 for true
	str   string    // of a string; the text of a number that is not the one of num
	items []*Node   // the elements; of an object, keys and values by turns
	index *index    // of a large set or object, by hash; nil: not made yet
	term  *ast.Term // the same value as OPA's; nil: not made yet
	owner *Arena    // nil: never changes
}

// ErrNumber is wrapped by the error of a number that no node can hold.
var ErrNumber = errors.New("a number that float64 cannot hold")

// The values that need no arena.
var (
	True       = &Node{kind: Boolean, num: 1, term: ast.InternedBooleanTrue}
	False      = &Node{kind: Boolean, term: ast.InternedBooleanFalse}
	NullNode   = &Node{kind: Null, term: ast.InternedNullTerm}
	EmptyArray = &Node{kind: Array, marks: sorted, term: ast.InternedEmptyArray}
	EmptySet   = &Node{kind: Set, marks: sorted, term: ast.InternedEmptySet}
)

// Undefined stands for the absence of a value where nil says that nothing is known yet.
var Undefined = &Node{}

// Defined is nil for [Undefined], and the node itself otherwise.
func (n *Node) Defined() *Node {
	if n == Undefined {
		return nil
	}
	return n
}

// small are the integers that policies count with.
var small = func() (all [1024]Node) {
	for i := range all {
		all[i] = Node{kind: Number, marks: isInt, num: int64(i), term: ast.InternedTerm(i)}
	}
	return all
}()

// Bool is the node of a truth value.
func Bool(b bool) *Node {
	if b {
		return True
	}
	return False
}

// Kind is what the node is.
func (n *Node) Kind() Kind { return n.kind }

// Text is the text of a string, and nothing else.
func (n *Node) Text() string { return n.str }

// OfData reports whether the value stands in the document data. A number that selects a member there goes by its
// text, as OPA's evaluator asks the store by a path of texts.
func (n *Node) OfData() bool { return n.marks&ofData != 0 }

// Partial reports whether members are left out of the object.
func (n *Node) Partial() bool { return n.marks&partial != 0 }

// Owned reports whether the value belongs to one decision. Others never change.
func (n *Node) Owned() bool { return n.owner != nil }

// Int is the number, if it is an integer of 64 bits.
func (n *Node) Int() (int64, bool) { return n.num, n.kind == Number && n.marks&isInt != 0 }

// numberText is the number as it was written.
func (n *Node) numberText() string {
	if n.str == "" {
		return strconv.FormatInt(n.num, 10)
	}
	return n.str
}

// setNumber makes n the number that a text of JSON spells.
func (n *Node) setNumber(text string) error {
	n.kind = Number
	if i, ok := util.Atoi64(text); ok { // 1.0 is one as well
		n.num, n.marks = i, n.marks|isInt
		if !canonical(text) { // it is written as it was
			n.str = text
		}
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return ErrNumber
	}
	n.num, n.str = int64(math.Float64bits(f)), text //nolint:gosec // the bits are what is kept
	return nil
}

// canonical reports whether an integer is written as strconv writes it: not -0, 1.0, nor 007, which to_number makes.
func canonical(text string) bool {
	if text[0] == '-' {
		text = text[1:]
		if text[0] == '0' {
			return false
		}
	}
	return text[0] != '+' && (text[0] != '0' || len(text) == 1) && strings.IndexByte(text, '.') < 0
}

// Len is the number of elements, or of pairs of an object; 0 for other kinds.
func (n *Node) Len() int {
	n.open()
	if n.kind == Object {
		return len(n.items) / 2
	}
	return len(n.items)
}

// Items are the elements, or the keys and values of an object by turns, as they stand now. They stay as they are when the
// node is sorted. [Node.Len] must have been called.
func (n *Node) Items() []*Node { return n.items }

// Elem is the element i of an array, or of a set in an order that may not be sorted ([Node.Sort]).
func (n *Node) Elem(i int) *Node { return n.items[i] }

// Pair is the pair i of an object, as Elem.
func (n *Node) Pair(i int) (key, value *Node) { return n.items[2*i], n.items[2*i+1] }
