package value

import (
	"errors"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// MaxFrozen bounds the nodes of a generation's data: they take about 100 bytes each.
const MaxFrozen = 4 << 20

// ErrTooLarge is the error of data with more than [MaxFrozen] values.
var ErrTooLarge = errors.New("the data is too large for programs")

// Freezer makes the nodes of a generation's data, once for each object and array of it. Those that the generation
// before had are taken over: data shares what an edit did not touch. Safe for concurrent use.
type Freezer struct {
	mu     sync.Mutex
	frozen map[ast.Value]*Node // by identity: keys are pointers
	before map[ast.Value]*Node
	texts  map[string]*Node
	left   int
}

// NewFreezer makes the freezer of the generation after the one of previous, which may be nil.
func NewFreezer(previous *Freezer) *Freezer {
	f := &Freezer{frozen: map[ast.Value]*Node{}, texts: map[string]*Node{}, left: MaxFrozen}
	if previous != nil {
		// Both look these up from now on, without a common lock, so the previous one adds to a map of its own: a decision may
		// still have a program made for its generation.
		previous.mu.Lock()
		f.before = previous.frozen
		previous.before, previous.frozen = previous.frozen, map[ast.Value]*Node{}
		previous.mu.Unlock()
	}
	return f
}

// Forget lets go of what the generation before had and nothing took over.
func (f *Freezer) Forget() {
	f.mu.Lock()
	f.before = nil
	f.mu.Unlock()
}

// Constant makes a node that a program keeps. A part that the value has several times is made once: written out, a short
// rule may have a value of any length.
func Constant(t *ast.Term) (*Node, error) {
	return (&Freezer{frozen: map[ast.Value]*Node{}, left: MaxFrozen}).freeze(t, 0)
}

// Data makes the document data, frozen below the paths that are named. An object above them holds no more than what
// is named, and is [Node.Partial].
func (f *Freezer) Data(root ast.Object, named *Named) (*Node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.partial(ast.NewTerm(root), named)
}

// Named is a tree of the paths that a program looks up.
type Named struct {
	All     bool // everything below is needed
	Members map[string]*Named
}

// Add names a path.
func (n *Named) Add(path []string, all bool) {
	for _, name := range path {
		next := n.Members[name]
		if next == nil {
			next = &Named{}
			if n.Members == nil {
				n.Members = map[string]*Named{}
			}
			n.Members[name] = next
		}
		n = next
	}
	n.All = n.All || all
}

func (f *Freezer) partial(t *ast.Term, named *Named) (*Node, error) {
	o, ok := t.Value.(ast.Object)
	if named.All || !ok {
		return f.freeze(t, ofData)
	}
	n := &Node{kind: Object, marks: ofData | partial, term: t}
	for name, below := range named.Members {
		member := o.Get(ast.InternedTerm(name))
		if member == nil {
			continue
		}
		x, err := f.partial(member, below)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, f.text(name), x)
	}
	n.freezeOrder()
	return n, nil
}

// freezeOrder does what nodes of an arena do when it is needed.
func (n *Node) freezeOrder() {
	n.Sort()
	switch {
	case n.kind == Object && len(n.items) > 2*fewItems:
		n.makeIndex(2)
	case n.kind == Set && len(n.items) > fewItems:
		n.makeIndex(1)
	}
	n.joinable()
}

// text is the one node of a string: programs find members by its address.
func (f *Freezer) text(s string) *Node {
	if n := f.texts[s]; n != nil {
		return n
	}
	n := &Node{kind: String, str: s, term: ast.InternedTerm(s)}
	n.num = int64(hash(n)) //nolint:gosec // its bits are what is kept
	if f.texts != nil {
		f.texts[s] = n
	}
	return n
}

func (f *Freezer) freeze(t *ast.Term, mark uint8) (*Node, error) {
	if f.left--; f.left < 0 {
		return nil, ErrTooLarge
	}
	n := &Node{marks: mark, term: t}
	var members []*ast.Term
	collect := func(t *ast.Term) { members = append(members, t) }
	switch v := t.Value.(type) {
	case ast.Null:
		return NullNode, nil
	case ast.Boolean:
		return Bool(bool(v)), nil
	case ast.Number:
		return n, n.setNumber(string(v))
	case ast.String:
		return f.text(string(v)), nil
	case *ast.Array:
		n.kind = Array
		v.Foreach(collect)
	case ast.Object:
		n.kind = Object
		v.Foreach(func(k, x *ast.Term) { members = append(members, k, x) })
	case ast.Set:
		n.kind = Set
		v.Foreach(collect)
	default:
		return nil, errors.New("a value that is not ground")
	}
	if known := f.known(t.Value); known != nil {
		return known, nil
	}
	n.items = make([]*Node, len(members))
	for i, m := range members {
		var err error
		if n.items[i], err = f.freeze(m, mark); err != nil {
			return nil, err
		}
	}
	n.freezeOrder()
	n.num = int64(hash(n)) //nolint:gosec // its bits are what is kept
	if f.frozen != nil {
		f.frozen[t.Value] = n
	}
	return n, nil
}

// known is the node that was made of this very object or array.
func (f *Freezer) known(v ast.Value) *Node {
	if n := f.frozen[v]; n != nil {
		return n
	}
	n := f.before[v]
	if n != nil {
		f.keep(n)
	}
	return n
}

// keep takes over what is in a node as well: the next edit may change a part of it, and leave the rest.
func (f *Freezer) keep(n *Node) {
	f.left--
	if n.kind < Array || f.frozen[n.term.Value] == n {
		return
	}
	f.frozen[n.term.Value] = n
	for _, x := range n.items {
		f.keep(x)
	}
}

// Member is the part of a name, which is added without being needed whole.
func (n *Named) Member(name string) *Named {
	n.Add([]string{name}, false)
	return n.Members[name]
}

// LeftOut reports whether a partial object has a member in OPA's document that it lacks itself.
func LeftOut(n, key *Node) bool {
	o, ok := n.term.Value.(ast.Object)
	return ok && o.Get(key.Term()) != nil
}

// NamesMember reports whether OPA's store finds a member of n by the text of key, where key is no name in n itself:
// a number names the member of an object that is called so, and a text the element of an array.
func NamesMember(n, key *Node) bool {
	switch {
	case n.kind == Object && key.kind == Number:
		name := &Node{kind: String, str: key.numberText()}
		return n.find(name, 2) >= 0 || n.Partial() && LeftOut(n, name)
	case n.kind == Array && key.kind == String:
		_, ok := util.Atoi(key.str) // as OPA's store reads it: "1.0" is one as well
		return ok
	}
	return false
}
