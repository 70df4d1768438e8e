package reviewer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/worker/child"
)

// command is the first argument of a process; the second one is its limit of memory.
const command = "review-worker"

// Asked reports whether this process was started as a reviewer: then it must do nothing but [Serve].
func Asked() bool { return len(os.Args) == 3 && os.Args[1] == command } //nolint:mnd // see command

// Serve makes steps for the sidecar that started this process, until that ends or ends it.
func Serve(steps []Step) error {
	bytes, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		return fmt.Errorf("%s is started by the sidecar alone: %w", command, err)
	}
	child.StepBack(0)
	pipe, err := child.Serving(bytes)
	if err != nil {
		return err
	}
	return serve(pipe, steps)
}

func serve(pipe io.ReadWriteCloser, steps []Step) error {
	holder := child.NewHolder(func(ctx context.Context, _ child.Loading, files fs.FS, from *engine.Generation) (*engine.Generation, error) {
		return engine.Load(ctx, files, from)
	})
	return holder.Serve(pipe, serviceName, &service{holder: holder, steps: steps})
}

// service is what the sidecar calls. Its methods have the form that [net/rpc] asks for.
type service struct {
	holder *child.Holder[*engine.Generation]
	steps  []Step

	mu      sync.Mutex // guards records
	records []records.Record
}

// Records takes records.
func (s *service) Records(b Batch, _ *bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Begin {
		s.records = nil
	}
	s.records = append(s.records, b.Records...)
	return nil
}

// Step makes a step.
func (s *service) Step(o Order, a *Answer) error {
	ctx, done := s.holder.Begin(o.Call)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, o.Time)
	defer cancel()
	w := &Work{ProbeTime: o.ProbeTime, TestsTime: o.TestsTime}
	var ok bool
	if w.Candidate, ok = s.holder.Held(o.Candidate); !ok {
		return errors.New("it does not hold the candidate any more")
	}
	if w.Base, ok = s.holder.Held(o.Base); !ok && o.Base != 0 {
		return errors.New("it does not hold the base any more")
	}
	s.mu.Lock()
	w.Records = s.records
	s.mu.Unlock()
	for _, step := range s.steps {
		if step.Name == o.Step {
			if err := step.make(ctx, w, &a.Evidence); err != nil {
				a.Failure = err.Error()
			}
			return nil
		}
	}
	return fmt.Errorf("it knows no step %q", o.Step)
}

// make runs a step, and contains its panics.
func (s Step) make(ctx context.Context, w *Work, e *review.Evidence) (err error) {
	defer func() {
		if r := recover(); r != nil {
			*e, err = review.Evidence{}, fmt.Errorf("it panicked: %v", r)
		}
	}()
	return s.Run(ctx, w, e)
}
