package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"defenseclaw/api/internal/decision"
)

// GuardrailConfig is the answer to GET /v1/guardrail/config, with the original gateway's names.
type GuardrailConfig struct {
	Mode            string `json:"mode"`
	ScannerMode     string `json:"scanner_mode"`
	BlockMessage    string `json:"block_message"`
	Connector       string `json:"connector"`
	HILTEnabled     bool   `json:"hilt_enabled"`
	HILTMinSeverity string `json:"hilt_min_severity"`
}

// GuardrailChange is a change of config.yaml that a caller asks for.
type GuardrailChange struct {
	Values           map[string]any // texts and booleans by keys of config.yaml
	Actor, RequestID string
}

// GuardrailConflict says why config.yaml was not changed. It is the body of the answer.
type GuardrailConflict struct {
	Message         string   `json:"error"`
	RestartRequired []string `json:"restart_required,omitempty"` // keys of config.yaml
	Changed         []string `json:"changed,omitempty"`          // what was asked for
}

// Error is the message.
func (c *GuardrailConflict) Error() string { return c.Message }

// guardrailChanged is the answer to PATCH /v1/guardrail/config.
type guardrailChanged struct {
	GuardrailConfig
	Status  string   `json:"status"`
	Live    bool     `json:"live"` // false: a restart is needed
	Changed []string `json:"changed"`
}

// maxBlockMessage bounds what everybody would be shown.
const maxBlockMessage = 4096

// guardrailFields are the fields of PATCH /v1/guardrail/config. parse returns nil for a value that is not expected.
var guardrailFields = []struct {
	name, key, expected string
	parse               func(value any) any
}{
	{"mode", "guardrail.mode", `"observe" or "action"`, oneOf("observe", "action")},
	{"scanner_mode", "guardrail.scanner_mode", `"local", "remote" or "both"`, oneOf("local", "remote", "both")},
	{"block_message", "guardrail.block_message", fmt.Sprintf("a text of at most %d bytes", maxBlockMessage), func(value any) any {
		if text, ok := value.(string); ok && len(text) <= maxBlockMessage {
			return text
		}
		return nil
	}},
	{"connector", "guardrail.connector", "a text that is not empty", func(value any) any {
		text, _ := value.(string)
		if text = strings.ToLower(strings.TrimSpace(text)); text == "" {
			return nil
		}
		return text
	}},
	{"hilt_enabled", "guardrail.hilt.enabled", "true or false", func(value any) any {
		if _, ok := value.(bool); !ok {
			return nil
		}
		return value
	}},
	{"hilt_min_severity", "guardrail.hilt.min_severity", `"LOW", "MEDIUM", "HIGH" or "CRITICAL"`, func(value any) any {
		text, _ := value.(string)
		return oneOf("LOW", "MEDIUM", "HIGH", "CRITICAL")(spelled(text))
	}},
}

func oneOf(allowed ...string) func(any) any {
	return func(value any) any {
		if text, ok := value.(string); ok && slices.Contains(allowed, text) {
			return text
		}
		return nil
	}
}

// guardrailConfig is GET and PATCH /v1/guardrail/config.
func (s *Server) guardrailConfig(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Guardrail == nil || s.cfg.ChangeGuardrail == nil {
		return &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "there is no config.yaml"}
	}
	if r.Method != http.MethodPatch {
		decision.WriteJSON(w, http.StatusOK, s.cfg.Guardrail())
		return nil
	}
	values, changed, err := guardrailValues(r)
	if err != nil {
		return err
	}
	now, live, err := s.cfg.ChangeGuardrail(r.Context(), GuardrailChange{
		Values: values, Actor: callerName(r.Context()), RequestID: r.Header.Get(HeaderRequestID),
	})
	if conflict, ok := err.(*GuardrailConflict); ok { //nolint:errorlint // it is returned as it is, and needs the words of the request
		conflict.Changed = changed
	}
	if err != nil {
		return err
	}
	status, answer := http.StatusOK, guardrailChanged{now, "updated", live, changed}
	if !live {
		status, answer.Status = http.StatusAccepted, "restart_requested"
	}
	decision.WriteJSON(w, status, answer)
	return nil
}

// guardrailValues reads the body of PATCH. changed has the changes in the original's words and order.
func guardrailValues(r *http.Request) (values map[string]any, changed []string, err error) {
	var in map[string]json.RawMessage
	if err := decision.Decode(r, &in); err != nil {
		return nil, nil, err
	}
	values = map[string]any{}
	var names []string
	for _, field := range guardrailFields {
		names = append(names, field.name)
		raw, ok := in[field.name]
		if !ok {
			continue
		}
		delete(in, field.name)
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, nil, decision.BadRequest("%s: %s", field.name, err)
		}
		if value = field.parse(value); value == nil {
			return nil, nil, decision.BadRequest("%s is %.100s: %s was expected", field.name, raw, field.expected)
		}
		values[field.key] = value
		if field.name != "block_message" { // which may be long
			field.name = fmt.Sprintf("%s=%v", field.name, value)
		}
		changed = append(changed, field.name)
	}
	for name := range in {
		return nil, nil, decision.BadRequest("there is no field %.100q: one of %s was expected", name, strings.Join(names, ", "))
	}
	if len(values) == 0 {
		return nil, nil, decision.BadRequest("the body changes nothing: at least one of %s was expected", strings.Join(names, ", "))
	}
	return values, changed, nil
}
