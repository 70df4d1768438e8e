package jsonast

import (
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Size returns about the number of bytes that Append writes for a value, and each for every value in it. It stops
// counting above limit, since shared parts count each time that they are written.
func Size(v ast.Value, each, limit int) int {
	s := sizer{each: each, limit: limit}
	_ = s.add(v) // the error only ends the count
	return s.size
}

type sizer struct{ size, each, limit int }

var errEnough = errors.New("larger than the limit")

func (s *sizer) add(v ast.Value) error {
	const brackets, quotes, comma = 2, 2, 1
	s.size += s.each + comma
	switch v := v.(type) {
	case ast.String:
		s.size += len(v) + quotes
	case ast.Number:
		s.size += len(v)
	case *ast.Array:
		s.size += brackets
		for i := range v.Len() {
			if err := s.add(v.Elem(i).Value); err != nil {
				return err
			}
		}
	case ast.Set:
		s.size += brackets
		if err := v.Iter(func(t *ast.Term) error { return s.add(t.Value) }); err != nil {
			return err
		}
	case ast.Object:
		s.size += brackets
		if err := v.Iter(s.addPair); err != nil {
			return err
		}
	default:
		s.size += len("null")
	}
	if s.size > s.limit {
		return errEnough
	}
	return nil
}

func (s *sizer) addPair(key, value *ast.Term) error {
	if err := s.add(key.Value); err != nil {
		return err
	}
	return s.add(value.Value)
}
