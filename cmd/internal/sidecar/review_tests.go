package sidecar

import (
	"context"
	"errors"
	"slices"
	"time"

	"defenseclaw/api/events"
	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/engine"
	"defenseclaw/engine/review"

	"go.uber.org/zap"
)

// read reads the tests that lie beside g, which the directory has to hold. What before holds unchanged is not parsed again.
func (v *evaluations) read(ctx context.Context, g *engine.Generation, before *engine.Tests) (*engine.Tests, error) {
	dir, err := v.dir()
	if err != nil {
		return nil, err
	}
	defer dir.Close() //nolint:errcheck // it was only read
	return engine.ReadTests(ctx, dir, g, v.limits, before)
}

// readTests reads the tests beside the candidate, and gives those that lay beside the base. Where those were never read,
// they are taken to be the same, and are not known: what changed is the policy.
func (v *evaluations) readTests(ctx context.Context, s engine.Step) (tests, before *engine.Tests, known bool, err error) {
	if v.dir == nil {
		return nil, nil, false, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if tests, err = v.read(ctx, s.Candidate, v.tests); err != nil {
		return nil, nil, false, err
	}
	before = tests
	if known = v.tests != nil && v.of == s.Base.Revision(); known {
		before = v.tests
	}
	v.newly = besides{s.Base, s.Candidate, before, tests}
	return tests, before, known, nil
}

// served notes the tests that lie beside what serves now, for the review of the change after it, and what the review of
// this one, which may be nil, says of them. What cannot be read is read with the next change.
func (v *evaluations) served(ctx context.Context, g *engine.Generation, j *review.Judgment) {
	if v.dir == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	tests, err := v.read(ctx, g, v.tests)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil: // such as after a rollback: the tests are those of other files
		v.standing = nil
		return
	}
	v.of, v.tests = g.Revision(), tests
	switch {
	case len(tests.Files()) == 0:
		v.standing = nil
	case j != nil:
		v.standing = v.standing.After(j.Evidence, g.Revision(), j.At.Add(j.Took), tests.Suite())
	}
}

// moved reports whether other tests lie beside the candidate of a step than those that its newest evidence is of.
func (v *evaluations) moved(ctx context.Context, s engine.Step) bool {
	if v.dir == nil {
		return false
	}
	v.mu.Lock()
	b := v.newly
	v.mu.Unlock()
	if b.base != s.Base || b.candidate != s.Candidate {
		return true
	}
	tests, err := v.read(ctx, s.Candidate, b.after)
	return err != nil || tests.Revision() != b.after.Revision()
}

// Standing is how the tests beside what serves are; nil where none ran.
func (v *evaluations) Standing() *review.Standing {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.standing
}

// retest runs, beside what serves, the tests that have changed since they were read, and tells what came of it. Nothing
// becomes of it: the policy has not changed.
func (v *evaluations) retest(ctx context.Context, g *engine.Generation) {
	if v.dir == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	v.mu.Lock()
	before, known, standing := v.tests, v.tests != nil && v.of == g.Revision(), v.standing
	v.mu.Unlock()
	if !known {
		return // they are read once what serves was reviewed
	}
	tests, err := v.read(ctx, g, before)
	if err != nil || tests.Revision() == before.Revision() {
		return // another policy is on its way, or nothing changed
	}
	ask := reviewer.Ask{Steps: []string{reviewer.Tests}, Tests: tests, TestsBefore: before, TestsTime: v.testsTime, FailedLast: standing.Names()}
	e := v.process.Review(ctx, g, g, ask)
	if errors.Is(ctx.Err(), context.Canceled) {
		return // a change is reviewed, and these tests with it
	}
	now := standing.After(e, g.Revision(), time.Now().UTC(), tests.Suite())
	v.mu.Lock()
	if v.of == g.Revision() && v.tests == before {
		v.tests, v.standing = tests, now
	}
	v.mu.Unlock()
	if v.tell != nil {
		v.tell(standing, now)
	}
}

// transitionTested is the event of tests that ran since they had changed, and the policy had not.
const transitionTested = "tested"

// tellTests announces what came of tests that changed alone: an event and, where something fails, or does no more, a line of
// the log.
func (s *Sidecar) tellTests(before, now *review.Standing) {
	failing, failed := now.Names(), before.Names()
	passing := slices.DeleteFunc(slices.Clone(failed), func(name string) bool { return slices.Contains(failing, name) })
	s.events.Publish(events.Event{Subsystem: "policy", Transition: transitionTested, Details: map[string]any{
		"revision": now.Revision, "ran": now.Ran, "not_run": now.NotRun, "failing": len(failing), "failed": firstOf(failing), "no_more": firstOf(passing),
		"incomplete": slices.Clone(now.Incomplete), "policy_dir": s.cfg.Settings.Place(),
	}})
	fields := []zap.Field{
		zap.String("subsystem", "policy"), zap.String("transition", transitionTested), zap.Int("failing", len(failing)),
		zap.Strings("failed", firstOf(failing)), zap.Strings("no_more", firstOf(passing)), zap.Strings("incomplete", now.Incomplete),
	}
	switch {
	case len(failing) > 0:
		s.cfg.Logger.Warn("tests were changed and fail; the policy is as it was: policy status shows them", fields...)
	case len(now.Incomplete) > 0:
		s.cfg.Logger.Warn("tests were changed and could not all be run; the policy is as it was", fields...)
	case len(passing) > 0:
		s.cfg.Logger.Info("the tests that failed pass, or are gone", fields...)
	}
}

func firstOf(names []string) []string { return slices.Clone(names[:min(len(names), maxTold)]) }
