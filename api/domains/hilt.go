package domains

import (
	"cmp"
	"slices"
	"strings"

	"defenseclaw/api/internal/decision"
)

// HILT ("human in the loop") says from which severity up a person is to confirm what the guardrail would otherwise
// only alert about.
type HILT struct {
	Enabled     bool
	MinSeverity string // one of [HILTSeverities]; empty: HIGH
}

// HILTSeverities are the severities from which a person can be asked, the strictest setting first.
func HILTSeverities() []string { return []string{"LOW", "MEDIUM", "HIGH", "CRITICAL"} }

// HILTWish is what a request asks for. It is heard as far as it asks a person more often than the setting does.
type HILTWish struct {
	Enabled     *bool  `json:"enabled"`
	MinSeverity string `json:"min_severity"` // empty: that of the setting
}

// forPolicy is what the policy sees of the setting.
func (h HILT) forPolicy() map[string]any {
	return map[string]any{"enabled": h.Enabled, "min_severity": h.minSeverity()}
}

func (h HILT) minSeverity() string { return cmp.Or(normalSeverity(h.MinSeverity), "HIGH") }

func normalSeverity(text string) string { return strings.ToUpper(strings.TrimSpace(text)) }

// tightened returns the setting as a request may change it: no severity for which a person is asked is lost.
func (h HILT) tightened(wish *HILTWish) (HILT, error) {
	if wish == nil {
		return h, nil
	}
	severities := HILTSeverities()
	wanted := normalSeverity(wish.MinSeverity)
	if wanted != "" && !slices.Contains(severities, wanted) {
		return h, decision.BadRequest("hilt.min_severity is %q; one of %s was expected", wish.MinSeverity, strings.Join(severities, ", "))
	}
	switch {
	case wish.Enabled != nil && !*wish.Enabled: // a caller cannot turn it off
	case h.Enabled && wanted != "":
		h.MinSeverity = severities[min(slices.Index(severities, wanted), max(0, slices.Index(severities, h.minSeverity())))]
	case wish.Enabled != nil && !h.Enabled:
		h = HILT{Enabled: true, MinSeverity: cmp.Or(wanted, h.MinSeverity)}
	}
	return h, nil
}
