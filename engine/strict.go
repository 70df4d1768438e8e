package engine

import (
	"context"
	"fmt"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/turns"
)

// Strict lists what OPA's strict mode would refuse in the modules of the generation and Rego v1 does not: imports, variables
// and arguments that nothing uses. It is about the author's text: what is listed means the same without it. Each module is
// looked at once, and what is found is kept with it: later generations look at the modules that changed. It lets decisions
// have the processor. Sorted. The error is ctx's, or a crash.
func (g *Generation) Strict(ctx context.Context) (diagnostic.List, error) {
	found, err := strictIn(ctx, g.parsed)
	if err == nil {
		g.strict.Store(&found)
	}
	return found, err
}

// StrictKnown is what [Generation.Strict] found in this generation; known is false before its first call has ended.
func (g *Generation) StrictKnown() (found diagnostic.List, known bool) {
	if list := g.strict.Load(); list != nil {
		return *list, true
	}
	return nil, false
}

// StrictOf is [Generation.Strict] of some files, by their paths. Paths of other files count for nothing.
func (g *Generation) StrictOf(ctx context.Context, paths []string) (diagnostic.List, error) {
	var some []*parse.File
	for _, path := range paths {
		if p := g.parsedAt(path); p != nil {
			some = append(some, p)
		}
	}
	return strictIn(ctx, some)
}

// Strict is [Generation.Strict] of tests. t may be nil.
func (t *Tests) Strict(ctx context.Context) (diagnostic.List, error) { return strictIn(ctx, t.files()) }

// StrictIn is [Generation.Strict] of one module, which a text holds: nothing if it does not parse.
func StrictIn(file string, text []byte) (found diagnostic.List, err error) {
	defer contain.Panic("look for what nothing uses in "+file, &err)
	module, err := dialect.Parse(file, text)
	if err != nil || module == nil {
		return nil, nil // a load says why
	}
	return parse.Strict(file, module, text), nil
}

func strictIn(ctx context.Context, files []*parse.File) (found diagnostic.List, err error) {
	defer contain.Panic("look for what nothing uses", &err)
	ctx = turns.With(ctx)
	for _, p := range files {
		if err := turns.Next(ctx); err != nil {
			return nil, fmt.Errorf("look for what nothing uses: %w", err)
		}
		found = append(found, p.Strict()...)
	}
	return found.Sorted(), nil
}
