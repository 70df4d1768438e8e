package migrate

import (
	"fmt"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/settings"
)

// A concern is a key of the original's config.yaml that is not read here, and whose absence an operator would notice.
type concern struct {
	key string // itself, or what begins with it and a dot
	why string
	do  string
}

var concerns = []concern{
	{"audit_db", "the original's records and lists are read from audit.db in the data directory only", "put the database there, or a link to it"},
	{"data_dir", "the data directory is chosen by --data-dir and DEFENSECLAW_HOME only", "give the same directory to this program, if it is another one"},
	{"guardrail.connectors", "settings of single connectors are not applied: those of guardrail are", "decide by input.model or the policy's data instead"},
	{"webhooks", "no webhook is called", "let a program read GET /policy/events and the audit log instead"},
	{"audit_sinks", "records are not sent to other systems", "use audit export, or the decision log with decision_logs.url"},
	{"otel.destinations", "telemetry goes where OpenTelemetry's own environment variables say", "set OTEL_EXPORTER_OTLP_ENDPOINT"},
	{"observability.destinations", "events are not sent to other systems", "use GET /metrics, audit export, or OTEL_EXPORTER_OTLP_ENDPOINT"},
	{"asset_policy", "assets are decided by the Rego policy alone", "check the decisions with policy evaluate"},
	{"managed", "an installation that a device manager controls is not", "ask who manages it"},
}

// settings is about config.yaml.
func (c *check) settings() error {
	unread, err := settings.UnreadKeys(c.set.DataDir)
	if err != nil {
		return err
	}
	if c.wrong != nil {
		c.attention("settings", "correct them: a start ends with this error", "%s", strings.ReplaceAll(c.wrong.Error(), "\n", "; "))
	}
	var ignored []string
	reported := map[string]bool{}
	for _, k := range unread {
		at := slices.IndexFunc(concerns, func(x concern) bool { return k.Key == x.key || strings.HasPrefix(k.Key, x.key+".") })
		switch {
		case at < 0 || empty(k.Value):
			ignored = append(ignored, k.Key)
		case !reported[concerns[at].key]:
			reported[concerns[at].key] = true
			c.attention("settings", concerns[at].do, "%s in config.yaml is not read here: %s", k.Key, concerns[at].why)
		}
	}
	if len(ignored) > 0 {
		c.found(Ignored, "settings", "keys of config.yaml that only the original's programs read: %s", strings.Join(ignored, ", "))
	}
	return nil
}

// empty reports whether a value is what the original writes where nothing is set.
func empty(v any) bool {
	switch fmt.Sprint(v) {
	case "", "[]", "map[]", "<nil>", "false":
		return true
	}
	return false
}
