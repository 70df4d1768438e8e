package domains

import (
	"cmp"
	"maps"
	"slices"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

const judgeField = "judge_result" // of the input

// hearsJudge reports whether the guardrail policy may read the judge's result by itself.
func hearsJudge(g *engine.Generation) bool { return g.ReadsInput(guardrail.path(), judgeField) }

// foldedSource is the source of a finding that a policy cannot name, because it cannot tell it from another's; or empty.
type foldedSource string

const judgeSource foldedSource = "llm-judge"

// addTo returns the sources of an answer with this one.
func (s foldedSource) addTo(sources []any) []any {
	if s == "" || slices.Contains(sources, any(string(s))) {
		return sources
	}
	return append(sources, string(s))
}

// addJudged puts the judge's result, which may be nil, into the input: next to those of the scanners and, for a policy
// that reads nothing of the judge, into the local scanner's.
func addJudged(g *engine.Generation, input map[string]any, judged *ScannerResult) foldedSource {
	if judged == nil {
		return ""
	}
	input[judgeField] = judged
	// A judge that found nothing does not speak for the scanner: a policy may tell that none did.
	if severityRank(judged.Severity) == 0 || hearsJudge(g) {
		return ""
	}
	local, _ := input["local_result"].(map[string]any)
	input["local_result"] = folded(local, judged)
	return judgeSource
}

// folded returns the local scanner's result, which may be nil, with what the judge found. It is as strict as the
// stricter of them.
func folded(local map[string]any, judged *ScannerResult) map[string]any {
	text := func(name string) string { s, _ := local[name].(string); return s }
	severity := max(severityRank(judged.Severity), severityRank(text("severity")))
	reason := string(judgeSource) + ": " + cmp.Or(judged.Reason, judged.Severity)
	if own := text("reason"); own != "" {
		reason = own + "; " + reason
	}
	findings := []any{} // those of the judge begin with JUDGE-
	if own, ok := local["findings"].([]any); ok {
		findings = own
	}
	for _, finding := range judged.Findings {
		findings = append(findings, finding)
	}
	result := map[string]any{}
	maps.Copy(result, local)
	result["severity"], result["action"] = guardrailSeverities[severity], stricter(text("action"), judged.Action)
	result["findings"], result["reason"] = findings, reason
	if !judged.IsSafe {
		result["is_safe"] = false
	}
	return result
}

// severityRank is the place of a severity among guardrailSeverities: 0 without one, the highest for one that is unknown.
func severityRank(severity string) int {
	severity = normalSeverity(severity)
	if severity == "" {
		return 0
	}
	if rank := slices.Index(guardrailSeverities, severity); rank >= 0 {
		return rank
	}
	return len(guardrailSeverities) - 1
}

// stricter is the action of a scanner that interferes more. One that is unknown is the scanner's business, and stays.
func stricter(own, judge string) string {
	order := []string{"", "allow", "alert", "confirm", "block"}
	if at := slices.Index(order, own); at >= 0 && at < slices.Index(order, judge) {
		return judge
	}
	return own
}

// Warnings says what of the guardrail's settings the policy of a generation, which may be nil, does not take as they may
// be meant. judged says that there is a judge.
func Warnings(g *engine.Generation, judged bool, setting HILT) []string {
	if g == nil || !g.HasPackage(guardrail.path()) {
		return nil
	}
	var warnings []string
	if judged && !hearsJudge(g) {
		warnings = append(warnings, "data.defenseclaw.guardrail does not read input.judge_result: "+
			"what the judge finds comes in input.local_result, as a finding of the local scanner")
	}
	if !setting.Enabled && dataAsksPerson(g) {
		warnings = append(warnings, "guardrail.hilt.enabled is true in the policy's data and not in config.yaml, which decides: no person is asked")
	}
	return warnings
}

// dataAsksPerson reports whether the policy's data would have a person asked.
func dataAsksPerson(g *engine.Generation) bool {
	enabled, err := g.Data().Find(ast.Ref{ast.StringTerm("guardrail"), ast.StringTerm("hilt"), ast.StringTerm("enabled")})
	return err == nil && enabled.Compare(ast.Boolean(true)) == 0
}
