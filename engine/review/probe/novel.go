package probe

import (
	"math"

	"github.com/open-policy-agent/opa/v1/ast"
)

// showing is what one evaluation of a condition shows: its outcome, the kinds of its operands, and the constant that it
// compared with.
type showing struct {
	key      siteKey
	truth    int8
	kinds    uint32
	constant uint64
}

// maxConstants bounds the constants of one condition that count as conditions of their own.
const maxConstants = 12

// shows reports whether an evaluation of a condition shows what none has shown: operands of other kinds, a constant of a
// list that is walked, or numbers that are nearer to each other.
func (s *search) shows(at *site) bool {
	now := showing{key: at.key, truth: at.truth}
	for _, a := range at.args {
		now.kinds = now.kinds*8 + kindOf(a)
	}
	first := !s.shown[now]
	s.shown[now] = true
	if s.nearer(at) {
		first = true
	}
	if s.values[at.key] >= maxConstants || len(at.args) < 2 {
		return first
	}
	for _, a := range at.args[:2] {
		if a.term != nil && a.from == nil {
			now.constant = now.constant*31 + uint64(a.term.Value.Hash()) //nolint:gosec // a hash
		}
	}
	if now.constant != 0 && !s.shown[now] {
		s.shown[now] = true
		s.values[at.key]++
		return true
	}
	return first
}

func kindOf(a operand) uint32 {
	if a.term == nil {
		return 0
	}
	switch a.term.Value.(type) {
	case ast.Null:
		return 1
	case ast.Boolean:
		return 2
	case ast.Number:
		return 3
	case ast.String:
		return 4
	case *ast.Array, ast.Set:
		return 5
	}
	return 6
}

// nearer reports whether two numbers that are compared are nearer to each other than they have been.
func (s *search) nearer(at *site) bool {
	switch at.op {
	case "lt", "lte", "gt", "gte", "neq", "eq":
	default:
		return false
	}
	if len(at.args) != 2 || at.args[0].term == nil || at.args[1].term == nil {
		return false
	}
	a, okA := floatOf(mustPlain(at.args[0].term.Value))
	b, okB := floatOf(mustPlain(at.args[1].term.Value))
	if !okA || !okB {
		return false
	}
	distance := math.Abs(a - b)
	key := at.key
	if at.truth < 0 {
		key.via = ^key.via // both outcomes have a nearest of their own
	}
	was, known := s.nearest[key]
	if known && distance >= was {
		return false
	}
	s.nearest[key] = distance
	return true
}

// grow queues an input with lists that have more of what they have, and with members taken away.
func (s *search) grow(t *target, input any) {
	for _, at := range placesOf(input) {
		v, _ := get(input, at)
		list, isList := v.([]any)
		if isList && len(list) > 0 && len(list) < maxLength/2 {
			last := list[len(list)-1]
			more := append(append([]any{}, list...), last)
			s.push(mix, item{t, input, []edit{{at, more}}})
			s.push(mix, item{t, input, []edit{{at, append(more, last, last)}}})
			s.push(mix, item{t, input, []edit{{at, append(append([]any{}, list...), list...)}}})
		}
	}
}
