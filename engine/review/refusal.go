package review

import (
	"errors"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
)

// errRefused is the cause of every refusal by a review.
var errRefused = errors.New("the review refuses it")

// Refusal names the findings that refuse a candidate, as diagnostics of its files.
func (j *Judgment) Refusal() *engine.Refused {
	r := &engine.Refused{Stage: engine.StageReview, Err: errRefused}
	for _, f := range j.Findings {
		if f.Level == Warn {
			continue
		}
		r.Diagnostics = append(r.Diagnostics, diagnostic.Diagnostic{
			File: f.File, Line: f.Row, Code: f.Code, Message: f.Message, Hint: hintFor(f),
		})
	}
	return r
}

const overrideHint = "or have it serve all the same, on record: policy reload --override REASON, on this machine"

// hintFor says what an author or operator can do about a finding.
func hintFor(f Finding) string {
	switch f.Code {
	case CodeGone:
		return "define it again, " + overrideHint
	case CodeIncomplete:
		return "policy reload reviews it again, " + overrideHint
	default:
		return "policy review shows all of it, " + overrideHint
	}
}
