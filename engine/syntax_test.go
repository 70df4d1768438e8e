package engine

import (
	"runtime"
	"testing"
	"weak"

	"defenseclaw/engine/corpus"
	"defenseclaw/engine/internal/compile"

	"github.com/open-policy-agent/opa/v1/ast"
)

func TestTheSyntaxOfMoreThanFewModulesIsNotKept(t *testing.T) {
	held := func(g *Generation) (n int) {
		var modules []weak.Pointer[ast.Module]
		for _, p := range g.parsed {
			if p.Unit != nil {
				modules = append(modules, weak.Make(p.Module()))
			}
		}
		runtime.GC()
		for _, m := range modules {
			if m.Value() != nil {
				n++
			}
		}
		runtime.KeepAlive(g)
		return n
	}
	few := reload(t, tenants(4), nil)
	if n, all := held(few), len(few.parsed); n != all-1 { // one is data
		t.Errorf("of %d files the syntax of %d is kept", all, n)
	}
	src := tenants(compile.MaxRecentModules + 1)
	many := reload(t, src, nil)
	if n := held(many); n != 0 {
		t.Errorf("the syntax of %d modules is kept after all were compiled", n)
	}
	put(src, corpus.TenantPath(3), corpus.Tenant(3, 1))
	if n := held(reload(t, src, many)); n != 1 {
		t.Errorf("the syntax of %d modules is kept after one was edited", n)
	}
}
