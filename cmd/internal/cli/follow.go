package cli

import (
	"context"
	"fmt"
	"io"
	"time"
)

// outage tells once that a sidecar that is followed is away, and once that it is back.
type outage struct {
	w     io.Writer
	since time.Time // zero: it is there
}

func (o *outage) began(err error) {
	if o.since.IsZero() {
		o.since = time.Now()
		fmt.Fprintf(o.w, "%s; trying again\n", err)
	}
}

func (o *outage) ended() {
	if !o.since.IsZero() {
		fmt.Fprintf(o.w, "the sidecar answers again, after %s\n", time.Since(o.since).Round(time.Second))
		o.since = time.Time{}
	}
}

// pause reports whether the time passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
