package sidecar

import (
	"strings"

	"defenseclaw/cmd/internal/settings"
)

// The original gateway's keys of the judge apply at once, too. What they make of the judge is tested with the settings.
func init() {
	for _, row := range settings.Table() {
		if row.Key != "llm" && !strings.HasPrefix(row.Key, "llm.") && !strings.HasPrefix(row.Key, "guardrail.judge.") {
			continue
		}
		value := "7"
		if row.IsBool() {
			value = "false"
		}
		probe := atOnce["log.level"]
		probe.after = inYAML(row.Key, value)
		probe.effect = func(c *configured) bool {
			got := c.live.now.Load().Value(row.Key)
			return got.Source != "" && (got.Text == value || row.IsSecret())
		}
		atOnce[row.Key] = probe
	}
	const model = "llm: {model: ollama/m}\n"
	probe := atOnce["log.level"]
	probe.before, probe.after = model, model+inYAML("guardrail.judge.enabled", "true")
	probe.effect = func(c *configured) bool { return c.judge.Load() != nil }
	atOnce["guardrail.judge.enabled"] = probe
}

// inYAML is a configuration that has a value at a key.
func inYAML(key, value string) string {
	parts := strings.Split(key, ".")
	return strings.Join(parts, ": {") + ": " + value + strings.Repeat("}", len(parts)-1)
}
