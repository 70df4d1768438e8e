package judge

import (
	"fmt"
	"slices"
	"strings"
)

// Severity is how bad a text is.
type Severity string

// The severities, from the mildest.
const (
	SeverityNone     Severity = "NONE"
	SeverityInfo     Severity = "INFO"
	SeverityLow      Severity = "LOW"
	SeverityMedium   Severity = "MEDIUM"
	SeverityHigh     Severity = "HIGH"
	SeverityCritical Severity = "CRITICAL"
)

var severities = []Severity{SeverityNone, SeverityInfo, SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical}

func worseOf(a, b Severity) Severity {
	if slices.Index(severities, b) > slices.Index(severities, a) {
		return b
	}
	return a
}

// Action is what the judge would do. The policy decides.
type Action string

// The actions. ActionError is only ever in a [Call].
const (
	ActionAllow Action = "allow"
	ActionAlert Action = "alert"
	ActionBlock Action = "block"
	ActionError Action = "error"
)

func actionFor(s Severity) Action {
	switch s {
	case SeverityNone:
		return ActionAllow
	case SeverityHigh, SeverityCritical:
		return ActionBlock
	}
	return ActionAlert
}

// Verdict is what a [Judge] says of one text: the verdicts of all kinds, merged to the worst.
type Verdict struct {
	Action   Action   `json:"action"` // of Severity: NONE allow, up to MEDIUM alert, from HIGH block
	Severity Severity `json:"severity"`
	Reason   string   `json:"reason"`   // of fixed words, never the text's or the model's; empty if there is nothing to say
	Findings []string `json:"findings"` // ids such as JUDGE-INJ-INSTRUCT; never nil
	Entities int      `json:"entity_count"`
	Scanner  string   `json:"scanner"`
	// ScannerSources names the kinds that were asked: llm-judge-injection, …; never nil.
	ScannerSources []string `json:"scanner_sources"`
	// JudgeFailed: the fail mode decided. Open: no kind could be judged. Closed: a kind that could
	// not is what blocks.
	JudgeFailed bool `json:"judge_failed"`
	// FailedKinds are those that could not be judged, also where others decided; never nil.
	FailedKinds []Kind `json:"failed_kinds"`
	// Cached: every kind that was asked had a verdict kept, and no call was made or waited for.
	Cached bool `json:"cached"`
	// Generation is the policy's when the call began.
	Generation uint64 `json:"generation"`
}

// ScannerResult is a [Verdict] as the guardrail policy's input wants a scanner's result.
type ScannerResult struct {
	Action   string   `json:"action"`
	Severity string   `json:"severity"`
	Findings []string `json:"findings"`
	Reason   string   `json:"reason"`
	IsSafe   bool     `json:"is_safe"`
}

// ScannerResult gives the verdict as one scanner's, for input.local_result and its like. It is safe
// only if the action is to allow.
func (v Verdict) ScannerResult() ScannerResult {
	return ScannerResult{
		Action:   string(v.Action),
		Severity: string(v.Severity),
		Findings: slices.Clone(v.Findings),
		Reason:   v.Reason,
		IsSafe:   v.Action == ActionAllow,
	}
}

// outcome is how asking one kind went: an answer, or why there is none.
type outcome struct {
	spec   spec
	answer answer
	cached bool
	err    error
}

// unjudged is the verdict on a text that nobody is asked about.
func unjudged(generation uint64, reason string) Verdict {
	return Verdict{
		Action: ActionAllow, Severity: SeverityNone, Reason: reason, Findings: []string{},
		Scanner: "llm-judge", ScannerSources: []string{}, FailedKinds: []Kind{}, Generation: generation,
	}
}

// merge makes one verdict of the outcomes, of which there is at least one.
func merge(outcomes []outcome, mode FailMode, generation uint64) Verdict {
	v := unjudged(generation, "")
	v.Cached = true
	found := SeverityNone
	var reasons []string
	for _, o := range outcomes {
		v.ScannerSources = append(v.ScannerSources, o.spec.scanner())
		v.Cached = v.Cached && o.cached
		if o.err != nil {
			v.FailedKinds = append(v.FailedKinds, o.spec.kind)
			reasons = append(reasons, fmt.Sprintf("judge-%s failed %s: %s", o.spec.kind, mode, brief(o.err)))
			continue
		}
		found = worseOf(found, o.answer.severity)
		v.Findings = append(v.Findings, o.answer.findings...)
		v.Entities += o.answer.entities
		if o.answer.reason != "" {
			reasons = append(reasons, o.answer.reason)
		}
	}
	if len(outcomes) == 1 {
		v.Scanner = v.ScannerSources[0]
	}
	v.Severity = found
	if len(v.FailedKinds) > 0 {
		if mode == Closed {
			v.Severity = worseOf(found, SeverityHigh)
			v.JudgeFailed = actionFor(found) != ActionBlock
		} else {
			v.JudgeFailed = len(v.FailedKinds) == len(outcomes)
		}
	}
	v.Action = actionFor(v.Severity)
	v.Reason = strings.Join(reasons, "; ")
	return v
}
