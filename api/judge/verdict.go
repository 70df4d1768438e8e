package judge

import (
	"fmt"
	"slices"
	"strings"
)

// Severity is the severity of the findings in a text.
type Severity string

// The severities, in ascending order.
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

// Action is what the judge recommends. The policy decides.
type Action string

// The actions. ActionError occurs only in a [Call].
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

// Verdict is the result of [Judge.Assess]: the results of all kinds, merged to the worst.
type Verdict struct {
	Action   Action   `json:"action"` // by Severity: NONE allow, up to MEDIUM alert, from HIGH on block
	Severity Severity `json:"severity"`
	Reason   string   `json:"reason"`   // fixed words, never words of the text or the model; empty if there are no findings and no failures
	Findings []string `json:"findings"` // ids such as JUDGE-INJ-INSTRUCT; never nil
	Entities int      `json:"entity_count"`
	Scanner  string   `json:"scanner"`
	// ScannerSources names the kinds that applied: llm-judge-injection, …; never nil.
	ScannerSources []string `json:"scanner_sources"`
	// JudgeFailed: a failure decided. Open: every kind failed. Closed: a failed kind is the reason to block.
	JudgeFailed bool `json:"judge_failed"`
	// FailedKinds are the kinds that failed, also if others decided; never nil.
	FailedKinds []Kind `json:"failed_kinds"`
	// Cached: all kinds were answered from the cache, without a call.
	Cached bool `json:"cached"`
	// Generation is the policy generation in service when the call began.
	Generation uint64 `json:"generation"`
}

// ScannerResult is a [Verdict] in the form of a scanner's result in the guardrail policy's input.
type ScannerResult struct {
	Action   string   `json:"action"`
	Severity string   `json:"severity"`
	Findings []string `json:"findings"`
	Reason   string   `json:"reason"`
	IsSafe   bool     `json:"is_safe"`
}

// ScannerResult converts the verdict to a scanner's result. IsSafe is true only if the action is allow.
func (v Verdict) ScannerResult() ScannerResult {
	return ScannerResult{
		Action:   string(v.Action),
		Severity: string(v.Severity),
		Findings: slices.Clone(v.Findings),
		Reason:   v.Reason,
		IsSafe:   v.Action == ActionAllow,
	}
}

// outcome is the result of one kind: an answer or an error.
type outcome struct {
	spec   spec
	answer answer
	cached bool
	err    error
}

// unjudged is the verdict on a text that needs no call.
func unjudged(generation uint64, reason string) Verdict {
	return Verdict{
		Action: ActionAllow, Severity: SeverityNone, Reason: reason, Findings: []string{},
		Scanner: "llm-judge", ScannerSources: []string{}, FailedKinds: []Kind{}, Generation: generation,
	}
}

// merge makes one verdict of the outcomes, at least one.
func merge(outcomes []outcome, mode FailMode, generation uint64) Verdict {
	v := unjudged(generation, "")
	v.Cached = true
	found, closed := SeverityNone, false
	var reasons []string
	for _, o := range outcomes {
		v.ScannerSources = append(v.ScannerSources, o.spec.scanner())
		v.Cached = v.Cached && o.cached
		if o.err != nil {
			v.FailedKinds = append(v.FailedKinds, o.spec.kind)
			how := Open
			if failsClosed(o.err, mode) {
				how, closed = Closed, true
			}
			reasons = append(reasons, fmt.Sprintf("judge-%s failed %s: %s", o.spec.kind, how, brief(o.err)))
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
	if closed {
		// The highest severity: a policy that blocks anything blocks what could not be judged.
		v.Severity = SeverityCritical
		v.JudgeFailed = found != SeverityCritical
	} else if len(v.FailedKinds) > 0 {
		v.JudgeFailed = len(v.FailedKinds) == len(outcomes)
	}
	v.Action = actionFor(v.Severity)
	v.Reason = strings.Join(reasons, "; ")
	return v
}
