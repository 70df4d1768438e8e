package history

import (
	"context"
	"io"
	"time"
)

// A pace limits work to a tenth of one processor, in short turns, so that no decision waits longer than
// one turn for its processor. Keeping thousands of modules then takes seconds, not a fraction of one. A
// nil pace does not rest.
type pace struct{ begun time.Time }

const (
	turn     = time.Millisecond / 5
	restRate = 9 // units of rest for each of work
)

// next rests if the turn is over. If ctx ends it returns early, with ctx's error.
func (p *pace) next(ctx context.Context) error {
	if p == nil || time.Since(p.begun) < turn {
		return ctx.Err()
	}
	pause(ctx, restRate*turn)
	p.begun = time.Now()
	return ctx.Err()
}

// restAfter keeps a sequence of saves at a tenth of the time, as next does inside each of them. In a
// storm of edits of thousands of modules, one save would else follow the other without a pause.
func restAfter(ctx context.Context, work time.Duration) {
	const maxRest = time.Minute
	pause(ctx, min(restRate*work, maxRest))
}

// pause returns early if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

type pacedWriter struct {
	ctx  context.Context //nolint:containedctx // the writer lives for one write of an entry
	pace *pace
	to   io.Writer
}

func (w *pacedWriter) Write(b []byte) (int, error) {
	if err := w.pace.next(w.ctx); err != nil {
		return 0, err
	}
	return w.to.Write(b)
}

// readBytes is what a paced reader gives at once: unpacking as much takes about one turn.
const readBytes = 4096

type pacedReader struct {
	ctx  context.Context //nolint:containedctx // the reader lives for one write of an entry
	pace *pace
	from io.Reader
}

func (r *pacedReader) Read(b []byte) (int, error) {
	if err := r.pace.next(r.ctx); err != nil {
		return 0, err
	}
	return r.from.Read(b)
}
