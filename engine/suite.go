package engine

import (
	"context"
	"io/fs"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// Suite is what Rego tests run against: modules, tests included, and the data.
type Suite struct {
	Modules map[string]*ast.Module // by slash path relative to the policy directory; parsed, not compiled
	Store   storage.Store          // the data; read only
	Only    []ast.Ref              // the packages whose tests to run; all when it is empty
}

// NewCompiler makes a compiler with the rules of [Load]; compile Modules with it.
func (s *Suite) NewCompiler() *ast.Compiler { return dialect.NewCompiler() }

// LoadSuite reads a source with its tests. Everything that [Load] refuses is refused with the
// tests taken into account, as a *[Refused].
func LoadSuite(ctx context.Context, src fs.FS) (_ *Suite, err error) {
	defer contain.Panic("load the tests", &err)
	reading, err := read(ctx, src, source.Options{Tests: true})
	if err != nil {
		return nil, err
	}
	if err := needModules(reading); err != nil {
		return nil, err
	}
	s, err := parseNext(ctx, reading, nil)
	if err != nil {
		return nil, err
	}
	if _, err := s.compile(ctx); err != nil {
		return nil, err
	}
	return &Suite{Modules: modulesOf(s.parsed), Store: s.data}, nil
}
