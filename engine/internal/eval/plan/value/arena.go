package value

import (
	"unsafe"

	"github.com/open-policy-agent/opa/v1/util"
)

const (
	firstSlab = 256      // nodes of an arena's first slab
	maxSlab   = 16 << 10 // nodes of a later one, about a mebibyte
	maxKept   = 1 << 20  // bytes that an arena keeps for the next decision
	nodeBytes = int64(unsafe.Sizeof(Node{}))
	slotBytes = int64(unsafe.Sizeof((*Node)(nil)))
)

// Arena makes the nodes of one decision. Reset makes them invalid, all at once. It counts what it hands out; above
// its budget [Arena.Over] reports so, and goes on: who evaluates looks at it in each loop. For one goroutine.
type Arena struct {
	nodes [][]Node
	slots [][]*Node
	node  int // the slabs that are handed out from, and how far
	nodeN int
	slot  int
	slotN int

	texts []*Text // that nodes are made of

	indexes []*index // of large sets and objects
	index   int      // how many of them are in use

	used, budget int64
	err          error
}

// Reset forgets all nodes and sets the budget, in bytes. Slabs are cleared, so that they keep nothing alive, and
// dropped above a mebibyte: one huge input must not occupy memory for good.
func (a *Arena) Reset(budget int64) {
	kept := int64(0)
	for i := range a.nodes {
		if kept += int64(len(a.nodes[i])) * nodeBytes; kept > maxKept {
			a.nodes = a.nodes[:i:i]
			break
		}
		if i < a.node {
			clear(a.nodes[i])
		} else if i == a.node {
			clear(a.nodes[i][:a.nodeN])
		}
	}
	kept = 0
	for i := range a.slots {
		if kept += int64(len(a.slots[i])) * slotBytes; kept > maxKept {
			a.slots = a.slots[:i:i]
			break
		}
		if i < a.slot {
			clear(a.slots[i])
		} else if i == a.slot {
			clear(a.slots[i][:a.slotN])
		}
	}
	clear(a.texts)
	for i, x := range a.indexes[:a.index] {
		a.indexes[i] = x.emptied()
	}
	*a = Arena{nodes: a.nodes, slots: a.slots, texts: a.texts[:0], indexes: a.indexes, budget: budget}
}

const (
	maxKeptIndexes = 64
	maxKeptSlots   = 1 << 10 // of an index
)

// newIndex makes an index, or takes one of a decision before. Without an arena it is for a node that never changes.
func (a *Arena) newIndex() *index {
	switch {
	case a == nil:
		return &index{}
	case a.index < len(a.indexes):
		a.index++
	case len(a.indexes) == maxKeptIndexes:
		return &index{}
	default:
		a.indexes, a.index = append(a.indexes, &index{}), a.index+1
	}
	return a.indexes[a.index-1]
}

// emptied is an index that finds nothing, with the room of x unless that is large.
func (x *index) emptied() *index {
	if cap(x.slots) > maxKeptSlots {
		return &index{}
	}
	x.last.Store(nil)
	x.slots, x.count = x.slots[:0], 0
	return x
}

// Over reports whether more than the budget was handed out.
func (a *Arena) Over() bool { return a.used > a.budget }

// Err is the first number that had no node ([ErrNumber]); a decision that met one is not to be trusted.
func (a *Arena) Err() error { return a.err }

// Count counts bytes that the arena did not hand out, such as those of a string.
func (a *Arena) Count(bytes int) { a.used += int64(bytes) }

func (a *Arena) next() *Node {
	for a.node < len(a.nodes) && a.nodeN == len(a.nodes[a.node]) {
		a.node, a.nodeN = a.node+1, 0
	}
	if a.node == len(a.nodes) {
		size := firstSlab
		if a.node > 0 {
			size = min(2*len(a.nodes[a.node-1]), maxSlab)
		}
		a.nodes = append(a.nodes, make([]Node, size))
	}
	n := &a.nodes[a.node][a.nodeN]
	a.nodeN++
	a.used += nodeBytes
	n.owner = a
	return n
}

// take returns an empty slice with room for n nodes.
func (a *Arena) take(n int) []*Node {
	a.used += int64(n) * slotBytes
	if n > firstSlab {
		return make([]*Node, 0, n)
	}
	for a.slot < len(a.slots) && a.slotN+n > len(a.slots[a.slot]) {
		a.slot, a.slotN = a.slot+1, 0
	}
	if a.slot == len(a.slots) {
		size := 4 * firstSlab
		if a.slot > 0 {
			size = min(2*len(a.slots[a.slot-1]), 8*maxSlab)
		}
		a.slots = append(a.slots, make([]*Node, size))
	}
	s := a.slots[a.slot][a.slotN : a.slotN : a.slotN+n]
	a.slotN += n
	return s
}

// grow makes room for more items.
func (a *Arena) grow(items []*Node, more int) []*Node {
	if len(items)+more <= cap(items) {
		return items
	}
	return append(a.take(max(2*cap(items), len(items)+more, 4)), items...)
}

// String makes a string.
func (a *Arena) String(s string) *Node {
	n := a.next()
	n.kind, n.str = String, s
	return n
}

// Int makes an integer.
func (a *Arena) Int(i int64) *Node {
	if 0 <= i && i < int64(len(small)) {
		return &small[i]
	}
	n := a.next()
	n.kind, n.marks, n.num = Number, isInt, i
	return n
}

// NumberText makes the number that a text of JSON's grammar spells. The error is [ErrNumber].
func (a *Arena) NumberText(text string) (*Node, error) {
	if len(text) <= 3 {
		if i, ok := util.Atoi64(text); ok && i >= 0 && canonical(text) {
			return &small[i], nil
		}
	}
	n := a.next()
	if err := n.setNumber(text); err != nil {
		a.err = err
		return nil, err
	}
	return n, nil
}

// Empty makes an array, object or set without elements, and with room for some.
func (a *Arena) Empty(kind Kind, room int) *Node {
	n := a.next()
	n.kind = kind
	if kind == Object {
		room *= 2
	}
	if room > 0 {
		n.items = a.take(room)
	}
	return n
}
