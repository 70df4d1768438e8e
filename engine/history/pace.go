package history

import (
	"context"
	"io"
	"time"
)

// A pace has work take a tenth of one processor, in short turns, so that no decision waits for longer than
// one. To keep thousands of modules takes seconds then, in place of a fraction of one. nil does not rest.
type pace struct{ begun time.Time }

const (
	turn  = time.Millisecond / 5
	rests = 9 // times as long
)

// next rests when a turn is over. It ends early, with ctx's error, when ctx does.
func (p *pace) next(ctx context.Context) error {
	if p == nil || time.Since(p.begun) < turn {
		return ctx.Err()
	}
	pause(ctx, rests*turn)
	p.begun = time.Now()
	return ctx.Err()
}

// restAfter has what is kept one after the other take a tenth of the time, as the work on each does: in a
// storm of edits of thousands of modules, to keep each of them would go on without end.
func restAfter(ctx context.Context, work time.Duration) {
	const longest = time.Minute
	pause(ctx, min(rests*work, longest))
}

// pause ends early when ctx does.
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
