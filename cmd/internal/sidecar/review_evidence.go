package sidecar

import (
	"cmp"
	"context"
	"sync"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/gcpacer"
	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/source"

	"go.uber.org/zap"
)

// evaluations have changes evaluated in a process of their own: the tests beside the policy, recorded decisions and, before
// a change serves, a search for inputs that nobody recorded.
type evaluations struct {
	process *reviewer.Reviewer
	dir     func() (*source.Dir, error) // the policy directory as it is now; nil: the policy is from elsewhere, without tests
	limits  source.Limits
	records func(context.Context) (all []records.Record, lost string, err error) // see [review.Evidence].Lost
	search  time.Duration                                                        // of processor time; 0: there is no search

	testsTime time.Duration // of processor time
	timeout   time.Duration // of a review that nobody waits for

	tell func(before, now *review.Standing) // of tests that ran because they changed; may be nil

	mu       sync.Mutex // guards the fields below
	of       string     // the revision that tests lie beside
	tests    *engine.Tests
	newly    besides          // of the newest evidence
	standing *review.Standing // of the tests beside what serves; nil: none ran
}

// besides is the tests beside the two policies of a change.
type besides struct {
	base, candidate *engine.Generation
	before, after   *engine.Tests
}

// compare adds to the review of a change whose evidence was just made which tests came and went.
func (v *evaluations) compare(s engine.Step, r *review.Review) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b := v.newly; b.base == s.Base && b.candidate == s.Candidate {
		r.WithTests(b.before.Suite(), b.after.Suite())
	}
}

// The processor time of a search for inputs before a change serves.
const enforceSearch, holdSearch = time.Second, 3 * time.Second

// makeEvidence makes what evaluates changes. The process is started when a change needs it.
func (s *Sidecar) makeEvidence() {
	set := s.cfg.Settings
	if s.reviewer == nil {
		return
	}
	off := set.SafetyReviewer == "off"
	s.evaluations = &evaluations{
		process: reviewer.New(reviewer.Config{
			Steps: reviewer.Steps(), Off: off, Ended: s.reportReviewer,
			MemoryBytes: cmp.Or(set.ReviewerBytes, max(minWorkerBytes, int64(gcpacer.Memory()/workerPart))),
		}),
		limits: s.limits(), timeout: time.Minute, records: s.recorded, tell: s.tellTests, testsTime: set.SafetyTests,
	}
	if set.PolicyDir != "" {
		s.evaluations.dir = func() (*source.Dir, error) { return source.Open(set.PolicyDir, s.dirConfig()) }
	}
	if !off {
		s.reviewer.process = s.evaluations.health
	}
	switch mode := s.reviewer.terms.Mode; {
	case off: // a search allocates: it is made in a process of its own, or not at all
	case mode == review.ModeEnforce:
		s.evaluations.search = enforceSearch
	case mode == review.ModeHold:
		s.evaluations.search = holdSearch
	}
	s.reviewer.evidence, s.reviewer.compare, s.reviewer.served = s.evaluations.evidence, s.evaluations.compare, s.evaluations.served
	s.reviewer.moved, s.reviewer.retest, s.reviewer.standing = s.evaluations.moved, s.evaluations.retest, s.evaluations.Standing
}

// health is how the process is, for the status.
func (v *evaluations) health() api.ReviewerStatus {
	h := v.process.Health()
	now := api.ReviewerStatus{Running: h.Up, PID: h.PID, Restarts: h.Restarts}
	if !h.FaultAt.IsZero() {
		now.Fault = &api.ReviewerFault{At: h.FaultAt.UTC(), Reason: h.Fault.Reason, During: h.Fault.During}
	}
	return now
}

// recorded are the decisions that the recorder holds, clean by the masks of what serves.
func (s *Sidecar) recorded(ctx context.Context) (all []records.Record, lost string, err error) {
	if s.recorder == nil {
		return nil, "", nil
	}
	if damaged := s.recorder.Health().Damaged; damaged != "" {
		lost = "recorded decisions are lost (" + damaged + "): policy record clear, to go on without them"
	}
	kept, err := s.recorder.Snapshot(ctx)
	return kept.Records, lost, err
}

// evidence evaluates a step. Without tests, records and a search there is nothing to evaluate, and no process is started.
func (v *evaluations) evidence(ctx context.Context, s engine.Step, change *review.Review) review.Evidence {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, v.timeout)
		defer cancel()
	}
	var incomplete []string
	ask := reviewer.Ask{Change: change, ProbeTime: v.search, TestsTime: v.testsTime, FailedLast: v.Standing().Names()}
	tests, before, known, err := v.readTests(ctx, s)
	switch {
	case err != nil:
		incomplete = append(incomplete, review.PartTests+": "+err.Error())
	case len(tests.Files())+len(before.Files()) > 0:
		ask.Tests, ask.TestsBefore, ask.Steps = tests, before, append(ask.Steps, reviewer.Tests)
	}
	kept, lost, err := v.records(ctx)
	switch {
	case err != nil:
		incomplete = append(incomplete, review.PartReplay+": the recorded decisions cannot be had: "+err.Error())
	case len(kept) > 0:
		ask.Records, ask.Steps = kept, append(ask.Steps, reviewer.Replay)
	}
	if v.search > 0 {
		ask.Steps = append(ask.Steps, reviewer.Probe)
	}
	var e review.Evidence
	if len(ask.Steps) > 0 {
		e = v.process.Review(ctx, s.Base, s.Candidate, ask)
	}
	if known {
		e.Compared = review.CompareTests(before.Suite(), tests.Suite())
	}
	if lost != "" {
		e.Lost = review.PartReplay + ": " + lost
		incomplete = append(incomplete, e.Lost)
	}
	e.Incomplete = append(incomplete, e.Incomplete...)
	return e
}

// reportReviewer logs an end of the process that nobody wanted. The review says what it lacks.
func (s *Sidecar) reportReviewer(e reviewer.Ended) {
	s.cfg.Logger.Error("the reviewer of changes ended: what it had not evaluated is incomplete",
		zap.String("reason", e.Reason), zap.String("during", e.During), zap.Int("ends", e.Ends))
}
