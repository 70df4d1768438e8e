package api

import (
	"context"
	"fmt"

	"defenseclaw/engine"
)

// unusedIn says in one line what nothing uses in the modules that serve: empty if that is nothing, or nobody has looked yet.
func unusedIn(g *engine.Generation) string {
	found, _ := g.StrictKnown()
	if len(found) == 0 {
		return ""
	}
	first := found[0]
	line := fmt.Sprintf("%s:%d:%d: %s", first.File, first.Line, first.Column, first.Message)
	if more := len(found) - 1; more > 0 {
		line += fmt.Sprintf(" (and %d more: policy validate lists them)", more)
	}
	return line
}

// maxLookedAt bounds the files that are looked at for the answer to a reload: a first load of thousands would take seconds.
const maxLookedAt = 100

// unusedInChanged is what nothing uses in the files that an edit changed. The edit serves already.
func unusedInChanged(ctx context.Context, g *engine.Generation, changed []string) []Diagnostic {
	if len(changed) == 0 || len(changed) > maxLookedAt {
		return nil
	}
	found, err := g.StrictOf(ctx, changed)
	if err != nil || len(found) == 0 {
		return nil // the caller has gone, or what looks has a fault: neither is the reload's
	}
	return Diagnostics(found)
}
