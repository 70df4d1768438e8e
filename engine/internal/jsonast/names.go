package jsonast

import (
	"hash/maphash"
	"math/bits"

	"github.com/open-policy-agent/opa/v1/ast"
)

// nameSet finds keys that repeat. It is used again for each object, and costs no clearing: what an
// earlier turn left in a slot is as good as nothing.
type nameSet struct {
	slots []nameSlot // a power of two
	turn  int
}

type nameSlot struct {
	turn int
	name ast.String
}

// repeat reports whether two of the pairs have the same key. All keys are strings.
func (s *nameSet) repeat(pairs [][2]*ast.Term) bool {
	if len(pairs) < 2 {
		return false
	}
	if len(s.slots) < 2*len(pairs) {
		*s = nameSet{slots: make([]nameSlot, 1<<bits.Len(uint(2*len(pairs))))}
	}
	s.turn++
	for _, pair := range pairs {
		name, _ := pair[0].Value.(ast.String)
		if !s.add(name) {
			return true
		}
	}
	return false
}

func (s *nameSet) add(name ast.String) bool {
	mask := uint64(len(s.slots) - 1)
	for i := maphash.String(seed, string(name)); ; i++ {
		switch slot := &s.slots[i&mask]; {
		case slot.turn != s.turn:
			*slot = nameSlot{turn: s.turn, name: name}
			return true
		case slot.name == name:
			return false
		}
	}
}
