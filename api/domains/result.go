package domains

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"defenseclaw/api/internal/decision"
)

// forPolicy is the input of the guardrail policy: every field is there, whatever the request left out, because
// policies tell null from a result and nothing else.
func (g *GuardrailRequest) forPolicy(setting HILT) (map[string]any, error) {
	hilt, err := setting.tightened(g.HILT)
	if err != nil {
		return nil, err
	}
	local, err := scannerResult("local_result", g.LocalResult)
	if err != nil {
		return nil, err
	}
	cisco, err := scannerResult("cisco_result", g.CiscoResult)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"direction": g.Direction, "model": g.Model, "mode": g.Mode, "scanner_mode": g.ScannerMode,
		"local_result": local, "cisco_result": cisco, "content_length": g.ContentLength, "hilt": hilt.forPolicy(),
	}, nil
}

// scannerResult reads a scanner's result: null if there is none, otherwise an object that has action, severity,
// findings and reason, is_safe if it was given, and whatever else the request says.
func scannerResult(field string, raw json.RawMessage) (any, error) {
	var known struct {
		Action   string   `json:"action"`
		Severity string   `json:"severity"`
		Findings []string `json:"findings"`
		Reason   string   `json:"reason"`
		IsSafe   *bool    `json:"is_safe"`
	}
	result, err := object(field, raw, &known, "action", "severity", "findings", "reason", "is_safe")
	if result == nil || err != nil {
		return nil, err
	}
	result["action"], result["severity"], result["reason"] = known.Action, known.Severity, known.Reason
	result["findings"] = texts(known.Findings)
	if known.IsSafe != nil {
		result["is_safe"] = *known.IsSafe
	}
	return result, nil
}

// object reads the JSON object of a request's field: the fields with these names into known, and the others into
// the map that it returns, which is nil if there is no object. Names match as in encoding/json, without regard to case.
func object(field string, raw json.RawMessage, known any, names ...string) (map[string]any, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if err := json.Unmarshal(raw, known); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return nil, decision.BadRequest("%s: a JSON %s was found; %s was expected", place(field, wrong.Field), wrong.Value, expected(wrong))
		}
		return nil, decision.BadRequest("%s: %s", field, err)
	}
	rest := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // a policy sees the numbers as they were sent
	if err := decoder.Decode(&rest); err != nil {
		return nil, decision.BadRequest("%s: %s", field, err)
	}
	for name := range rest {
		for _, taken := range names {
			if strings.EqualFold(name, taken) {
				delete(rest, name)
			}
		}
	}
	return rest, nil
}

func place(field, part string) string {
	if part == "" {
		return field
	}
	return field + "." + part
}

func expected(wrong *json.UnmarshalTypeError) string {
	if wrong.Field == "" {
		return "object"
	}
	return wrong.Type.String()
}

// texts is a list of texts as input: null stays null.
func texts(list []string) any {
	if list == nil {
		return nil
	}
	values := make([]any, 0, len(list))
	for _, text := range list {
		values = append(values, text)
	}
	return values
}
