package unit

import (
	"sync"
	"weak"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Syntax is a module as it was parsed. It keeps no module: one is as large as what is compiled from it,
// and is needed again only when something that it refers to changes. Safe for concurrent use.
type Syntax struct {
	parse func() *ast.Module

	mu   sync.Mutex
	last weak.Pointer[ast.Module]
}

// NewSyntax is the syntax that parse, which must always give an equal module, gave first.
func NewSyntax(first *ast.Module, parse func() *ast.Module) *Syntax {
	return &Syntax{parse: parse, last: weak.Make(first)}
}

// Module is the one that somebody still holds, or else one parsed anew. Not to be changed.
func (s *Syntax) Module() *ast.Module {
	s.mu.Lock()
	defer s.mu.Unlock()
	module := s.last.Value()
	if module == nil {
		module = s.parse()
		s.last = weak.Make(module)
	}
	return module
}
