package value

import (
	"hash/maphash"
	"math"
)

// fewItems is how many keys are compared one by one. A comparison of two strings is a comparison of lengths most
// of the time.
const fewItems = 8

// index finds the items of a large set or object by hash, in open addressing.
type index struct {
	joins

	slots []int32 // 1 + the number of the item; 0: free
	shift uint8
	count int
}

var seed = maphash.MakeSeed()

// hash of equal values is equal. Sets and objects add theirs up, since their order may differ. That of a text or a
// collection is never 0: one that never changes has it in num, where 0 is of one that was not hashed.
func hash(n *Node) uint64 {
	if n.kind >= String && n.owner == nil && n.num != 0 {
		return uint64(n.num) //nolint:gosec // its bits were kept there
	}
	switch n.kind {
	case String:
		return maphash.String(seed, n.str) | 1
	case Number:
		f := n.float()
		if f == 0 {
			f = 0 // -0 as well
		}
		return mix(math.Float64bits(f) ^ 0x9e37)
	case Null, Boolean:
		return mix(uint64(n.num)<<8 | uint64(n.kind)) //nolint:gosec // 0 or 1
	}
	n.open()
	sum := mix(uint64(n.kind) + uint64(len(n.items))<<4)
	switch n.kind {
	case Array:
		for _, x := range n.items {
			sum = mix(sum ^ hash(x))
		}
	case Set:
		for _, x := range n.items {
			sum += hash(x)
		}
	default:
		for i := 0; i < len(n.items); i += 2 {
			sum += mix(hash(n.items[i]) ^ hash(n.items[i+1])>>1)
		}
	}
	return sum | 1
}

func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	return x * 0xbf58476d1ce4e5b9
}

// find returns where a key stands among the items, -1 for nowhere; stride is 2 for objects.
func (n *Node) find(key *Node, stride int) int {
	n.open()
	if len(n.items) <= fewItems*stride {
		if key.kind == String {
			for i := 0; i < len(n.items); i += stride {
				if k := n.items[i]; k == key || k.kind == String && k.str == key.str {
					return i
				}
			}
			return -1
		}
		for i := 0; i < len(n.items); i += stride {
			if Equal(n.items[i], key) {
				return i
			}
		}
		return -1
	}
	if n.index == nil || n.index.count != len(n.items)/stride {
		n.makeIndex(stride)
	}
	x := n.index
	for at := hash(key) >> x.shift; ; at++ {
		i := int(x.slots[at&uint64(len(x.slots)-1)]) - 1
		if i < 0 {
			return -1
		}
		if k := n.items[i*stride]; k == key || Equal(k, key) {
			return i * stride
		}
	}
}

// makeIndex is not called for nodes without an owner but when they are made.
func (n *Node) makeIndex(stride int) {
	count, bits := len(n.items)/stride, uint8(5)
	for 1<<bits < 2*count {
		bits++
	}
	x := n.index
	if x == nil {
		x = n.owner.newIndex()
		n.index = x
	}
	if x.shift, x.count = 64-bits, 0; cap(x.slots) >= 1<<bits {
		x.slots = x.slots[:1<<bits]
		clear(x.slots)
	} else {
		x.slots = make([]int32, 1<<bits)
	}
	if n.owner != nil {
		n.owner.used += 4 << bits
	}
	for i := range count {
		n.index.add(hash(n.items[i*stride]))
	}
}

// add enters the next item.
func (x *index) add(h uint64) {
	x.count++
	at := h >> x.shift
	for x.slots[at&uint64(len(x.slots)-1)] != 0 {
		at++
	}
	x.slots[at&uint64(len(x.slots)-1)] = int32(x.count) //nolint:gosec // bounded by memory
}

// appended keeps the index up to date after an item was appended, or drops it when it is full.
func (n *Node) appended(key *Node) {
	n.marks &^= sorted
	n.changed()
	if n.index == nil {
		return
	}
	if 4*n.index.count >= 3*len(n.index.slots) {
		n.index.slots, n.index.count = n.index.slots[:0], 0 // it is made anew when something is looked for
		return
	}
	n.index.add(hash(key))
}

// Get returns the member of an object, the element of an array or the element of a set itself; nil for none, and
// for any other value.
func (n *Node) Get(key *Node) *Node {
	switch n.kind {
	case Object:
		if at := n.find(key, 2); at >= 0 {
			return n.items[at+1]
		}
	case Set:
		if at := n.find(key, 1); at >= 0 {
			return n.items[at]
		}
	case Array:
		n.open()
		if i, ok := key.Int(); ok && 0 <= i && i < int64(len(n.items)) {
			return n.items[i]
		}
	}
	return nil
}

// GetAt is Get for an object and a string, trying first where a lookup before found it. It returns where it did.
func (n *Node) GetAt(key *Node, hint uint32) (*Node, uint32) {
	n.open()
	if at := int(hint); at+1 < len(n.items) {
		if k := n.items[at]; k == key || k.kind == String && k.str == key.str {
			return n.items[at+1], hint
		}
	}
	if at := n.find(key, 2); at >= 0 {
		return n.items[at+1], uint32(at) //nolint:gosec // bounded by memory
	}
	return nil, hint
}

// changed forgets the indexes, and the term, but for a partial object, whose term says what was left out.
func (n *Node) changed() {
	if n.index != nil && n.index.last.Load() != nil {
		n.index.last.Store(nil)
	}
	if n.marks&partial == 0 {
		n.term = nil
	}
}

// Append adds an element to an array that is being made.
func (n *Node) Append(x *Node) {
	n.items = append(n.owner.grow(n.items, 1), x)
	n.changed()
}

// Add adds an element to a set that is being made.
func (n *Node) Add(x *Node) {
	if n.find(x, 1) >= 0 {
		return
	}
	n.items = append(n.owner.grow(n.items, 1), x)
	n.appended(x)
}

// Insert sets a member of an object that is being made, and returns the value that stood there before; nil for none.
func (n *Node) Insert(key, x *Node) (before *Node) {
	if at := n.find(key, 2); at >= 0 {
		before, n.items[at+1] = n.items[at+1], x
		n.changed()
		return before
	}
	n.items = append(n.owner.grow(n.items, 2), key, x)
	n.appended(key)
	return nil
}

// Copy is a set, object or array of the arena with the same items, which may be changed.
func (a *Arena) Copy(n *Node) *Node {
	n.open()
	c := a.next()
	c.kind, c.marks = n.kind, n.marks&^lazy
	c.items = append(a.take(len(n.items)+2), n.items...)
	if n.marks&partial != 0 { // what is left out is looked for there
		c.term = n.term
	}
	return c
}
