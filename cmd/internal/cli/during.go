package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"defenseclaw/engine/review"

	"golang.org/x/term"
)

// stepTexts say what is being done. The keys are steps of progress.
var stepTexts = map[string]string{
	"wait": "waiting for other work", "load": "loading the policies", "tests": "comparing the tests",
	"replay": "making recorded decisions again", "probe": "searching for inputs",
}

// longWork is how long work takes before it is shown, and shownEvery the time between two looks at it.
const (
	longWork   = time.Second
	shownEvery = 200 * time.Millisecond
)

// during does a step of work. Where standard error is a terminal and the step takes longer than a second, a line there says how far
// it is; the line is gone when the step has ended.
func during[T any](ctx context.Context, step string, work func(context.Context) (T, error)) (T, error) {
	out := os.Stderr //nolint:forbidigo // numbers, and the sequences that overwrite them
	if !term.IsTerminal(int(out.Fd())) {
		return work(ctx)
	}
	s := &shownWork{out: out, begun: time.Now(), now: review.Progress{Step: step}}
	ended, silent := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(silent)
		s.show(ended)
	}()
	defer func() { // also when the work panics
		close(ended)
		<-silent
	}()
	return work(review.InStep(review.WithProgress(ctx, s.told), step))
}

// shownWork is the line about a step.
type shownWork struct {
	out   *os.File
	begun time.Time

	mu  sync.Mutex // guards now
	now review.Progress
}

func (s *shownWork) told(p review.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = p
}

// show shows the line from the time on that is long, and removes it when the work has ended.
func (s *shownWork) show(ended <-chan struct{}) {
	wait := time.NewTimer(longWork)
	defer wait.Stop()
	for shown := false; ; shown = true {
		select {
		case <-ended:
			if shown {
				fmt.Fprint(s.out, "\r\x1b[K")
			}
			return
		case <-wait.C:
			width, _, err := term.GetSize(int(s.out.Fd()))
			if err != nil || width == 0 {
				width = 80
			}
			fmt.Fprintf(s.out, "\r\x1b[K%s", s.line(width-1))
			wait.Reset(shownEvery)
		}
	}
}

// line is what is shown, in at most so many columns: what wraps could not be overwritten.
func (s *shownWork) line(columns int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%s… ", stepTexts[s.now.Step])
	if s.now.Total > 0 {
		fmt.Fprintf(&b, "%d of %d, ", s.now.Done, s.now.Total)
	}
	fmt.Fprintf(&b, "%d s", int(time.Since(s.begun).Seconds()))
	text := []rune(b.String())
	return string(text[:min(len(text), columns)])
}
