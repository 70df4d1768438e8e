package engine

import (
	"context"
	"slices"

	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/parse"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Printed is what one call of print() in a policy wrote: where it stands, and its text.
type Printed = eval.Printed

// Printer takes what an evaluation prints, on the goroutine that evaluates, which waits for it.
type Printer = eval.Printer

// WithPrinter returns a context for evaluations whose print() calls write to p. Nil, and a context without a printer, let the
// text go nowhere. Evaluations that are made again, for a replay or an explanation, never print.
func WithPrinter(ctx context.Context, p Printer) context.Context { return eval.WithPrinter(ctx, p) }

// PrinterOf is the printer that [WithPrinter] gave; nil without one.
func PrinterOf(ctx context.Context) Printer { return eval.PrinterOf(ctx) }

// Prints reports whether a module of the generation calls print().
func (g *Generation) Prints() bool { return g.printing > 0 }

// printingAfter counts the modules that call print(), from the count before an edit.
func printingAfter(before int, e edit) int {
	count := func(files []*parse.File) (n int) {
		for _, p := range files {
			if p.Unit == nil {
				continue
			}
			if _, prints := slices.BinarySearch(p.Unit.Builtins, ast.Print.Name); prints {
				n++
			}
		}
		return n
	}
	return before - count(e.removed) + count(e.added)
}
