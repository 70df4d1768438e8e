package preset

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Apply returns data.json with the policy in it, and what that changes, as [Apply] does. Keys that the policy does not name keep
// their values, a severity without an action too.
func (p Policy) Apply(data []byte) ([]byte, []Change, error) {
	edits, err := p.edits(data)
	if err != nil {
		return nil, nil, err
	}
	edited, changes, err := Apply(data, edits...)
	if err != nil {
		return nil, nil, fmt.Errorf("policy %s: %w", p.Name, err)
	}
	return edited, changes, nil
}

// The keys of three sections are the same in a policy and in the data.
var copied = []struct {
	section string
	keys    []string
	from    func(d document) map[string]any
}{
	{"guardrail", []string{"block_threshold", "alert_threshold", "cisco_trust_level", "hilt", "patterns", "severity_mappings"}, func(d document) map[string]any { return d.Guardrail }},
	{"firewall", []string{"default_action", "blocked_destinations", "allowed_domains", "allowed_ports"}, func(d document) map[string]any { return d.Firewall }},
	{"audit", []string{"retention_days", "log_all_actions", "log_scan_results"}, func(d document) map[string]any { return d.Audit }},
}

// severities in the order of the data.
var severities = []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO"}

func (p Policy) edits(data []byte) ([]Edit, error) {
	edits := []Edit{Set(cmp.Or(p.doc.Name, p.Name), "config", "policy_name")}
	add := func(value any, path ...string) { edits = append(edits, Set(value, path...)) }
	if v := p.doc.Admission.AllowListBypassScan; v != nil {
		add(*v, "config", "allow_list_bypass_scan")
	}
	if v := p.doc.Admission.ScanOnInstall; v != nil {
		add(*v, "config", "scan_on_install")
	}
	if v := p.doc.Enforcement.MaxDelaySeconds; v != nil {
		add(*v, "config", "max_enforcement_delay_seconds")
	}
	actions, err := p.actions("skill_actions", p.doc.SkillActions)
	if err != nil {
		return nil, err
	}
	for _, severity := range severities {
		if a, ok := actions[severity]; ok {
			add(a, "actions", severity)
		}
	}
	if p.doc.ScannerOverrides != nil {
		overrides := map[string]map[string]action{}
		for scanner, of := range p.doc.ScannerOverrides {
			if overrides[scanner], err = p.actions("scanner_overrides."+scanner, of); err != nil {
				return nil, err
			}
		}
		add(overrides, "scanner_overrides")
	}
	for _, c := range copied {
		for _, key := range c.keys {
			if v, ok := c.from(p.doc)[key]; ok {
				add(v, c.section, key)
			}
		}
	}
	if len(p.doc.FirstParty) > 0 {
		add(p.firstParty(data), "first_party_allow_list")
	}
	return edits, nil
}

// actions translates into the words of the data. A word that it does not have is refused: it must not become an
// allowance.
func (p Policy) actions(place string, from map[string]action) (map[string]action, error) {
	all := map[string]action{}
	for severity, a := range from {
		upper := strings.ToUpper(severity)
		switch strings.ToLower(strings.TrimSpace(a.Runtime)) {
		case "block", "disable":
			a.Runtime = "block"
		case "allow", "enable":
			a.Runtime = "allow"
		default:
			return nil, fmt.Errorf("policy %s: %s.%s.runtime is %q: block, disable, allow or enable was expected", p.Name, place, severity, a.Runtime)
		}
		if !slices.Contains(severities, upper) {
			return nil, fmt.Errorf("policy %s: %s.%s: a severity was expected: %s", p.Name, place, severity, strings.Join(severities, ", "))
		}
		a.File, a.Install = cmp.Or(a.File, "none"), cmp.Or(a.Install, "none")
		all[upper] = a
	}
	return all, nil
}

// firstParty are the policy's entries; what one does not say stays as an entry of the data with the same type and name says it.
func (p Policy) firstParty(data []byte) []map[string]any {
	var now struct {
		List []map[string]any `json:"first_party_allow_list"`
	}
	_ = json.Unmarshal(data, &now) // set says what is wrong with it
	merged := make([]map[string]any, 0, len(p.doc.FirstParty))
	for _, wanted := range p.doc.FirstParty {
		entry := map[string]any{}
		for _, e := range now.List {
			if e["target_type"] == wanted["target_type"] && e["target_name"] == wanted["target_name"] {
				entry = e
			}
		}
		for key, v := range wanted {
			entry[key] = v
		}
		merged = append(merged, entry)
	}
	return merged
}
