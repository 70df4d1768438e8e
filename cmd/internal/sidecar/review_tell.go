package sidecar

import (
	"context"
	"errors"
	"slices"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/events"
	"defenseclaw/engine/history"
	"defenseclaw/engine/review"

	"go.uber.org/zap"
)

// transitionReviewed is the event of every review that came to a verdict.
const transitionReviewed = "reviewed"

// tellReview announces what came of a review: an event, the metrics and, where there are findings, a line of the log. None
// of them has an input of a decision.
func (s *Sidecar) tellReview(ctx context.Context, j *review.Judgment) {
	summary := api.SummaryOf(j)
	details := map[string]any{
		"verdict": summary.Verdict, "mode": string(j.Mode), "digest": summary.Digest, "revision_from": summary.Base, "revision": summary.Candidate,
		"findings": summary.Findings, "found": codesOf(j.Findings), "trigger": j.Trigger, "actor": j.Actor, "policy_dir": s.cfg.Settings.Place(),
		"incomplete": slices.Clone(j.Evidence.Incomplete), "duration_ms": float64(j.Took.Microseconds()) / 1000,
	}
	if summary.Flips != nil {
		details["flips"] = summary.Flips
	}
	if j.Override != "" {
		details["override"] = j.Override
	}
	s.events.Publish(events.Event{Subsystem: "policy", Transition: transitionReviewed, Details: details})
	s.metrics.ReviewDone(ctx, summary.Verdict, summary.Findings, summary.Flips)
	if len(j.Findings) > 0 && j.Verdict != review.Refused { // the log tells of a refusal as of any other
		s.logReview(j)
	}
}

func (s *Sidecar) timeReview(step string, took time.Duration) {
	s.metrics.ReviewStep(context.Background(), step, took)
}

// codesOf lists what was found, without the messages: those of guards may quote inputs.
func codesOf(all []review.Finding) []map[string]string {
	found := make([]map[string]string, 0, len(all))
	for _, f := range all[:min(len(all), maxTold)] {
		found = append(found, map[string]string{"level": string(f.Level), "code": f.Code, "path": f.Path})
	}
	return found
}

// maxTold bounds the findings in an event and in a line of the log.
const maxTold = 20

func (s *Sidecar) logReview(j *review.Judgment) {
	var found []string
	for _, f := range j.Findings[:min(len(j.Findings), maxTold)] {
		found = append(found, string(f.Level)+" "+f.Code+" "+f.Path)
	}
	message := "the review of a change has findings, and it serves: policy review shows them"
	if j.Verdict == review.Held {
		message = "the review of a change has findings, and it waits for an approval: policy review shows them"
	}
	s.cfg.Logger.Warn(message, zap.String("subsystem", "policy"), zap.String("transition", transitionReviewed),
		zap.String("verdict", string(j.Verdict)), zap.Strings("findings", found), zap.Int("more", max(0, len(j.Findings)-maxTold)),
		zap.String("digest", j.Digest()))
}

// noteReview puts what came of a review into the history, once the generation has its record.
func (s *Sidecar) noteReview(ctx context.Context, j *review.Judgment) {
	if s.history == nil || s.keeper.Noted(ctx) != nil {
		return
	}
	err := s.history.Reviewed(j.Review.Candidate.Revision, history.Reviewed{
		Verdict: string(j.Verdict), Findings: api.CountsOf(j.Levels()), Flips: api.CountsOf(j.Flips()), Override: j.Override,
	})
	if err != nil && !errors.Is(err, history.ErrNotFound) {
		s.cfg.Logger.Warn("the history does not tell of a review", zap.Error(err))
	}
}
