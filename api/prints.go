package api

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"defenseclaw/engine"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Bounds of what print() writes into the log: it is for an author who looks for something, and every caller can have it written.
const (
	maxPrintedLines   = 100      // of one decision
	maxPrintedBytes   = 16 << 10 // the same
	maxPrintedText    = 4 << 10  // of one line; more is cut off
	printedPerSecond  = 100      // lines of all decisions
	printedAtOnce     = 1000     // the same, after a while without any
	printedQueue      = 1024     // lines that wait to be written
	printDropsMention = 10 * time.Second
)

// Prints writes what decisions print into the log: a line each, at info, with the decision's id. A decision never waits for
// the log: lines beyond the bounds are dropped and counted. While the log leaves out lines at info, nothing is printed. All
// methods but Run are safe for concurrent use.
type Prints struct {
	logger  *zap.Logger
	rate    *rate.Limiter
	queue   chan printedLine
	dropped atomic.Int64
}

// printed is what one evaluation printed, for whoever asked for it.
type printed struct {
	lines []TryPrinted
	bytes int
	more  int
}

// add is an [engine.Printer].
func (all *printed) add(p engine.Printed) {
	text := shortened(p.Text)
	if len(all.lines) == maxPrintedLines || all.bytes+len(text) > maxPrintedBytes {
		all.more++
		return
	}
	all.lines, all.bytes = append(all.lines, TryPrinted{p.File, p.Line, text}), all.bytes+len(text)
}

func shortened(text string) string {
	if n := len(text); n > maxPrintedText {
		text = strings.ToValidUTF8(text[:maxPrintedText], "") + fmt.Sprintf("… (%d bytes)", n)
	}
	return text
}

type printedLine struct {
	decision string
	engine.Printed
}

// NewPrints makes one that writes once [Prints.Run] runs.
func NewPrints(logger *zap.Logger) *Prints {
	return &Prints{logger: logger, rate: rate.NewLimiter(printedPerSecond, printedAtOnce), queue: make(chan printedLine, printedQueue)}
}

// wanted reports whether the log takes lines at info now: its level may change at any time. p may be nil.
func (p *Prints) wanted() bool { return p != nil && p.logger.Core().Enabled(zap.InfoLevel) }

// of returns the context of one decision whose policy prints.
func (p *Prints) of(ctx context.Context, decisionID string) context.Context {
	lines, bytes := 0, 0
	return engine.WithPrinter(ctx, func(printed engine.Printed) {
		printed.Text = shortened(printed.Text)
		lines, bytes = lines+1, bytes+len(printed.Text)
		if lines > maxPrintedLines || bytes > maxPrintedBytes || !p.rate.Allow() {
			p.dropped.Add(1)
			return
		}
		select {
		case p.queue <- printedLine{decisionID, printed}:
		default:
			p.dropped.Add(1)
		}
	})
}

// Run writes until ctx ends, and then what is left.
func (p *Prints) Run(ctx context.Context) error {
	mention := time.NewTicker(printDropsMention)
	defer mention.Stop()
	for {
		select {
		case line := <-p.queue:
			p.write(line)
		case <-mention.C:
			p.mention()
		case <-ctx.Done():
			for len(p.queue) > 0 { // nobody decides any more
				p.write(<-p.queue)
			}
			p.mention()
			return nil
		}
	}
}

func (p *Prints) write(line printedLine) {
	fields := []zap.Field{
		zap.String("text", line.Text), zap.String("at", fmt.Sprintf("%s:%d", line.File, line.Line)), zap.String("decision_id", line.decision),
	}
	if n := p.dropped.Swap(0); n > 0 {
		fields = append(fields, zap.Int64("dropped", n)) // lines before this one
	}
	p.logger.Info("print", fields...)
}

// mention tells of lines that were dropped where no line follows that would.
func (p *Prints) mention() {
	if n := p.dropped.Swap(0); n > 0 {
		p.logger.Info("the policy prints more than the log takes", zap.Int64("dropped", n))
	}
}
