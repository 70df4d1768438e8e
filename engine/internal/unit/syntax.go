package unit

import (
	"sync"
	"weak"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Syntax gives a module as it was parsed. It holds the module weakly: a module is as large as what is
// compiled from it, and is needed again only if something it refers to changes, so parsing it once
// more then is cheaper than the memory. Safe for concurrent use.
type Syntax struct {
	parse func() *ast.Module

	mu   sync.Mutex
	last weak.Pointer[ast.Module]
}

// NewSyntax makes the Syntax of a module that parse returned. parse must return an equal one each time.
func NewSyntax(first *ast.Module, parse func() *ast.Module) *Syntax {
	return &Syntax{parse: parse, last: weak.Make(first)}
}

// Module returns the module as long as something still refers to it, and else parses it again. The
// caller must not change it.
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
