package api

import (
	"time"

	"defenseclaw/engine/review"
)

// ReviewAnswer is the body of GET /policy/review: what a change is, and what came of it.
type ReviewAnswer struct {
	Verdict    string    `json:"verdict"` // admitted, held or refused
	Mode       string    `json:"mode"`    // report: what is reviewed serves already
	Digest     string    `json:"digest"`  // of the step; an approval is bound to it
	At         time.Time `json:"at"`
	DurationMS float64   `json:"duration_ms"`
	Trigger    string    `json:"trigger"`
	Actor      string    `json:"actor,omitempty"`
	Override   string    `json:"override,omitempty"` // why it serves whatever the findings are
	Guards     string    `json:"guards,omitempty"`   // the revision of the guards that judged
	Findings   []Finding `json:"findings"`
	Review     *Review   `json:"review"`
}

// ReviewAnswerOf converts a review and what came of it.
func ReviewAnswerOf(j *review.Judgment) ReviewAnswer {
	return ReviewAnswer{
		Verdict: string(j.Verdict), Mode: string(j.Mode), Digest: j.Digest(), At: j.At, DurationMS: milliseconds(j.Took),
		Trigger: j.Trigger, Actor: j.Actor, Override: j.Override, Guards: j.Guards, Findings: list(FoundOf(j.Findings)), Review: WholeReviewOf(j),
	}
}

// WholeReviewOf is a review with its evidence: what guards judge.
func WholeReviewOf(j *review.Judgment) *Review {
	w := ReviewOf(j.Review)
	w.AddEvidence(j.Evidence)
	w.Trigger = &ReviewTrigger{Kind: j.Trigger, Actor: j.Actor}
	return w
}

// ReviewTrigger is what asked for a candidate.
type ReviewTrigger struct {
	Kind  string `json:"kind"`
	Actor string `json:"actor"` // the best that is known; may be empty
}

// ReviewSummary is a [ReviewAnswer] in numbers: the part of GET /policy/status about the newest review.
type ReviewSummary struct {
	Verdict     string         `json:"verdict"`
	Digest      string         `json:"digest"`
	Override    string         `json:"override,omitempty"`
	Base        string         `json:"base"`      // its revision
	Candidate   string         `json:"candidate"` // the revision of what followed, or would
	At          time.Time      `json:"at"`
	Findings    map[string]int `json:"findings"`        // by level
	Flips       map[string]int `json:"flips,omitempty"` // recorded decisions that change, by kind; left out where none were replayed
	Files       int            `json:"files"`
	Packages    map[string]int `json:"packages"` // by kind of change, and affected
	Rules       map[string]int `json:"rules"`    // by kind of change
	Defaults    int            `json:"defaults"`
	Data        int            `json:"data"` // places
	DataSize    ReviewSize     `json:"data_size"`
	Builtins    []string       `json:"builtins"`     // called now and not before
	EntryPoints []string       `json:"entry_points"` // that are gone
}

// SummaryOf makes the summary of a review.
func SummaryOf(j *review.Judgment) *ReviewSummary {
	r := j.Review
	s := &ReviewSummary{
		Verdict: string(j.Verdict), Digest: j.Digest(), Override: j.Override, Findings: CountsOf(j.Levels()), Flips: CountsOf(j.Flips()),
		Candidate: r.Candidate.Revision, At: j.At, Files: len(r.Files), Defaults: len(r.Defaults), Data: len(r.Data),
		DataSize: ReviewSize(r.DataSize), Builtins: list(r.Builtins), EntryPoints: list(r.EntryPoints.Removed),
		Packages: map[string]int{
			review.Added: len(r.Packages.Added), review.Removed: len(r.Packages.Removed), review.Changed: len(r.Packages.Changed),
			"affected": len(r.Packages.Affected),
		},
		Rules: map[string]int{review.Added: 0, review.Removed: 0, review.Changed: 0, review.Moved: 0},
	}
	if r.Base != nil {
		s.Base = r.Base.Revision
	}
	for _, rule := range r.Rules {
		s.Rules[rule.Change]++
	}
	return s
}

// CountsOf converts counts by name; nil is none.
func CountsOf[K ~string](counts map[K]int) map[string]int {
	if counts == nil {
		return nil
	}
	named := map[string]int{}
	for k, n := range counts {
		named[string(k)] = n
	}
	return named
}
