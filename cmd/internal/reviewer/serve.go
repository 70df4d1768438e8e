package reviewer

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/source"
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
	holder := child.NewHolder(load)
	return holder.Serve(pipe, serviceName, &service{holder: holder, steps: steps})
}

// kindTests is the kind of content that is tests; else it is a policy.
const kindTests = "tests"

// holding is a policy or its tests. It has the methods of the one that it is.
type holding struct {
	child.Content
	policy *engine.Generation
	tests  *engine.Tests
}

func load(ctx context.Context, l child.Loading, files fs.FS, from holding) (holding, error) {
	if l.Kind == kindTests {
		tests, err := engine.ReadTests(ctx, files, nil, source.Limits{}, from.tests)
		return holding{Content: tests, tests: tests}, err
	}
	g, err := engine.Load(ctx, files, from.policy)
	return holding{Content: g, policy: g}, err
}

// service is what the sidecar calls. Its methods have the form that [net/rpc] asks for.
type service struct {
	holder *child.Holder[holding]
	steps  []Step

	mu      sync.Mutex // guards the fields below
	records []records.Record
	ids     []uint64 // of records, in their order
	given   map[uint64]records.Record
	known   []*answers      // of the policies of the newest replay
	now     review.Progress // of the step that is made
}

// Records takes records.
func (s *service) Records(b Batch, _ *bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given == nil {
		s.given = map[uint64]records.Record{}
	}
	for i, id := range b.IDs {
		s.given[id] = b.Records[i]
	}
	return nil
}

// Lot puts together the records of a review.
func (s *service) Lot(l Lot, _ *bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.IDs == nil && len(l.Weights) > 0 {
		if len(l.Weights) != len(s.records) {
			return fmt.Errorf("it holds %d records, and %d were weighed", len(s.records), len(l.Weights))
		}
		s.records = slices.Clone(s.records)
		for i, weight := range l.Weights {
			s.records[i].Weight = weight
		}
		return nil
	}
	s.ids = l.IDs
	s.records = make([]records.Record, len(l.IDs))
	kept := make(map[uint64]records.Record, len(l.IDs))
	for i, id := range l.IDs {
		r, ok := s.given[id]
		if !ok {
			return fmt.Errorf("it does not hold record %d any more", id)
		}
		kept[id], r.Weight = r, l.Weights[i]
		s.records[i] = r
	}
	s.given = kept
	return nil
}

// Now says how far the step is that is made.
func (s *service) Now(_ bool, p *review.Progress) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*p = s.now
	return nil
}

func (s *service) is(p review.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = p
}

// Step makes a step.
func (s *service) Step(o Order, a *Answer) error {
	ctx, done := s.holder.Begin(o.Call)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, o.Time)
	defer cancel()
	s.is(review.Progress{Step: o.Step})
	ctx = review.InStep(review.WithProgress(ctx, s.is), o.Step)
	w := &Work{ProbeTime: o.ProbeTime, TestsTime: o.TestsTime, FailedLast: o.FailedLast}
	for _, part := range []struct {
		id     uint64
		policy **engine.Generation
		tests  **engine.Tests
	}{{o.Base, &w.Base, nil}, {o.Candidate, &w.Candidate, nil}, {o.TestsBefore, nil, &w.TestsBefore}, {o.Tests, nil, &w.Tests}} {
		h, ok := s.holder.Held(part.id)
		switch {
		case part.id == 0:
		case !ok:
			return fmt.Errorf("it does not hold %d any more", part.id)
		case part.policy != nil:
			*part.policy = h.policy
		default:
			*part.tests = h.tests
		}
	}
	s.mu.Lock()
	w.Records = s.records
	known, ids := s.known, s.ids
	s.mu.Unlock()
	if o.Step == Replay && w.Candidate != nil {
		now := withBaseline(w, known, ids)
		defer func() {
			s.mu.Lock()
			s.known = append(slices.DeleteFunc(slices.Clone(known), func(k *answers) bool {
				return w.Base == nil || k.revision != w.Base.Revision() || k.revision == now.revision
			}), now)
			s.mu.Unlock()
		}()
	}
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
