package value

import (
	"math/bits"
	"sync/atomic"
)

const (
	// FewToJoin is how many items are looked at one by one rather than found by an index.
	FewToJoin = 16

	maxJoins    = 8       // indexes of one collection; each takes at most 12 bytes for an item, an item at least 80
	maxJoinable = 1 << 28 // items whose numbers fit an index
)

// Way leads from an item of a collection to a value in it.
type Way struct {
	FromKey bool    // from the item's key; the element is its own key in a set
	Names   []*Node // strings
}

// Join says by which values the items of a collection are found.
type Join struct {
	ways []Way
	name string
}

// NewJoin makes the join by the values at the ends of some ways.
func NewJoin(ways []Way) *Join {
	name := []byte{}
	for _, w := range ways {
		name = append(name, '\n')
		if w.FromKey {
			name = append(name, '\r')
		}
		for _, n := range w.Names {
			name = append(append(name, 0), n.str...)
		}
	}
	return &Join{ways: ways, name: string(name)}
}

// Matches finds the items of one collection by the values of a [Join]. It never changes.
type Matches struct {
	name   string
	first  []int32 // by the first bits of a hash, 1 + the number of an item
	shift  uint8
	next   []int32 // by item, 1 + the number of the next one of these bits; higher than its own
	doubt  bool
	before *Matches // of the same collection
}

// joins are the indexes of a collection, the last one first. Those of a collection that never changes are made by any
// goroutine.
type joins struct{ last atomic.Pointer[Matches] }

func (j *joins) find(name string) (found *Matches, count int) {
	for m := j.last.Load(); m != nil; m = m.before {
		if m.name == name {
			return m, count
		}
		count++
	}
	return nil, count
}

// Matches returns the index of a collection that is in order. It is made if that may be done: going on is asked for
// each item. nil is of a collection that has none, or of work that was given up.
func (n *Node) Matches(j *Join, goOn func() bool) *Matches {
	if n.index == nil {
		if n.owner == nil || len(n.items) > maxJoinable {
			return nil
		}
		n.index = n.owner.newIndex()
	}
	m, count := n.index.find(j.name)
	if m != nil || count >= maxJoins {
		return m.sure()
	}
	if m = n.match(j, goOn); m == nil {
		return nil
	}
	m.before = n.index.last.Load()
	// Where another goroutine was first, what it made may be the same; the next decision finds it.
	n.index.last.CompareAndSwap(m.before, m)
	return m.sure()
}

// sure is nil for an index that does not say of all items whether they match.
func (m *Matches) sure() *Matches {
	if m == nil || m.doubt {
		return nil
	}
	return m
}

func (n *Node) match(j *Join, goOn func() bool) *Matches {
	count := n.Len()
	size := bits.Len(uint(count))
	m := &Matches{
		name: j.name, first: make([]int32, 1<<size), shift: uint8(64 - size), next: make([]int32, count), //nolint:gosec // at most 64
	}
	if n.owner != nil {
		n.owner.used += 4 * int64(len(m.first)+len(m.next))
	}
	// From the end, so that the items of one hash follow each other in their order.
	for i := count - 1; i >= 0; i-- {
		if !goOn() {
			return nil
		}
		h, found, sure := n.hashAt(i, j.ways)
		if !sure {
			m.doubt, m.first, m.next = true, nil, nil
			return m
		}
		if found {
			at := h >> m.shift
			m.next[i] = m.first[at]
			m.first[at] = int32(i + 1) //nolint:gosec // bounded by maxJoinable
		}
	}
	return m
}

// hashAt is the hash of the values of an item. An item that lacks one, or whose value is no scalar, is not found.
func (n *Node) hashAt(i int, ways []Way) (h uint64, found, sure bool) {
	for _, w := range ways {
		x := n.item(i, w.FromKey)
		for _, name := range w.Names {
			if x, sure = x.Member(name); !sure {
				return 0, false, false
			}
			if x == nil {
				return 0, false, true
			}
		}
		if x.kind >= Array {
			return 0, false, true
		}
		h = JoinHash(h, x)
	}
	return h, true, true
}

// Item is the element i of an array or a set, or the value i of an object.
func (n *Node) Item(i int) *Node { return n.item(i, false) }

func (n *Node) item(i int, key bool) *Node {
	switch {
	case n.kind == Object && key:
		return n.items[2*i]
	case n.kind == Object:
		return n.items[2*i+1]
	case n.kind == Array && key:
		return &Node{kind: Number, marks: isInt, num: int64(i)}
	default:
		return n.items[i]
	}
}

// JoinHash adds a scalar to the hash of those before it, which begins at 0.
func JoinHash(h uint64, x *Node) uint64 { return mix(h ^ hash(x)) }

// First returns the first item that may have the values of a hash, and Next the one after an item; -1 for none.
func (m *Matches) First(h uint64) int { return int(m.first[h>>m.shift]) - 1 }

// Next is described at First.
func (m *Matches) Next(i int) int { return int(m.next[i]) - 1 }

// Member is the member of a value that stands under a key, as a reference finds it; nil for none. sure is false where
// OPA's evaluator may find one that is not seen here.
func (n *Node) Member(key *Node) (x *Node, sure bool) {
	if n.kind != Object || key.kind != String {
		if n.OfData() && NamesMember(n, key) {
			return nil, false
		}
	}
	if x = n.Get(key); x == nil && n.Partial() && LeftOut(n, key) {
		return nil, false
	}
	return x, true
}

// joinable gives a collection that never changes the place for its indexes.
func (n *Node) joinable() {
	if n.index == nil && n.Len() >= FewToJoin && n.Len() <= maxJoinable {
		n.index = &index{}
	}
}
