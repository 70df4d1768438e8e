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
	turn = time.Millisecond
	rest = 9 * turn
)

// next rests when a turn is over. It ends early, with ctx's error, when ctx does.
func (p *pace) next(ctx context.Context) error {
	if p == nil || time.Since(p.begun) < turn {
		return ctx.Err()
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	p.begun = time.Now()
	return ctx.Err()
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
