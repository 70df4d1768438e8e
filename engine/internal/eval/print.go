package eval

import (
	"context"

	"github.com/open-policy-agent/opa/v1/topdown/print"
)

// Printed is what one call of print() in the policy wrote: its operands, with spaces between them, and where the call
// stands. The file is named as the generation names it; lines and columns count from 1, and are 0 where OPA knows no place.
type Printed struct {
	File         string
	Line, Column int
	Text         string
}

// Printer takes what a decision prints, on the goroutine that decides, which waits for it.
type Printer func(Printed)

// printerKey is the key under which a context has its [Printer].
type printerKey struct{}

// WithPrinter returns a context for decisions that print to p; nil: what they print is lost, whatever ctx had.
func WithPrinter(ctx context.Context, p Printer) context.Context {
	return context.WithValue(ctx, printerKey{}, p)
}

// PrinterOf is what [WithPrinter] gave; nil without it.
func PrinterOf(ctx context.Context) Printer {
	p, _ := ctx.Value(printerKey{}).(Printer)
	return p
}

// printHook hands what the policy prints to the printer of its decision. One serves for all decisions, so one that prints
// nothing pays for nothing. Programs never print: a path whose rules do has none.
type printHook struct{}

// Print is [print.Hook]'s.
func (printHook) Print(c print.Context, text string) error {
	p := PrinterOf(c.Context)
	if p == nil {
		return nil
	}
	at := Printed{Text: text}
	if l := c.Location; l != nil {
		at.File, at.Line, at.Column = l.File, l.Row, l.Col
	}
	p(at)
	return nil
}
