package jsonast

import (
	"hash/maphash"
	"math/bits"

	"github.com/open-policy-agent/opa/v1/ast"
)

// keySet finds keys that repeat. It is used again for each object, and costs no clearing: what an
// earlier turn left in a slot is as good as nothing.
type keySet struct {
	slots []keySlot // a power of two
	turn  int
}

type keySlot struct {
	turn int
	key  ast.String
}

// repeat reports whether two of the pairs have the same key. All keys are strings.
func (s *keySet) repeat(pairs [][2]*ast.Term) bool {
	if len(pairs) < 2 {
		return false
	}
	if len(s.slots) < 2*len(pairs) {
		*s = keySet{slots: make([]keySlot, 1<<bits.Len(uint(2*len(pairs))))}
	}
	s.turn++
	for _, pair := range pairs {
		key, _ := pair[0].Value.(ast.String)
		if !s.add(key) {
			return true
		}
	}
	return false
}

func (s *keySet) add(key ast.String) bool {
	mask := uint64(len(s.slots) - 1)
	for i := maphash.String(seed, string(key)); ; i++ {
		switch slot := &s.slots[i&mask]; {
		case slot.turn != s.turn:
			*slot = keySlot{turn: s.turn, key: key}
			return true
		case slot.key == key:
			return false
		}
	}
}
