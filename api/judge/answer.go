package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// answer is the result of one kind for a text. It is cached and shared by callers; do not modify it.
type answer struct {
	severity Severity
	reason   string
	findings []string
	entities int
}

// parseAnswer reads the model's text. It accepts exactly the requested form, optionally in a Markdown
// fence. Its errors quote nothing of the text, which may be secret.
func parseAnswer(s spec, text string) (answer, error) {
	raw, err := unfence(text)
	if err != nil {
		return answer{}, err
	}
	given, err := object(raw)
	if err != nil {
		return answer{}, err
	}
	var found []finding
	for _, c := range s.categories {
		rawCategory, ok := given[c.name]
		if !ok {
			return answer{}, fmt.Errorf("category %q is missing", c.name)
		}
		fields, err := object(rawCategory)
		if err != nil {
			return answer{}, fmt.Errorf("category %q: %w", c.name, err)
		}
		f, err := s.read(fields)
		if err != nil {
			return answer{}, fmt.Errorf("category %q: %w", c.name, err)
		}
		if f.found {
			f.category = c
			found = append(found, f)
		}
	}
	if len(given) != len(s.categories) {
		return answer{}, errors.New("it has an unexpected category")
	}
	return s.conclude(found), nil
}

func (s spec) conclude(found []finding) answer {
	a := answer{severity: SeverityNone, findings: []string{}}
	if len(found) == 0 {
		return a
	}
	a.severity = s.severity(found)
	names := make([]string, 0, len(found))
	for _, f := range found {
		a.findings = append(a.findings, f.id)
		a.entities += f.entities
		names = append(names, f.name)
	}
	a.reason = fmt.Sprintf("judge-%s: %s", s.kind, strings.Join(names, ", "))
	return a
}

// unfence removes a Markdown fence around the whole text, which models often add to JSON.
func unfence(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, errors.New("it is empty")
	}
	inner, fenced := strings.CutPrefix(text, "```")
	if !fenced {
		return []byte(text), nil
	}
	inner, closed := strings.CutSuffix(inner, "```")
	if !closed {
		return nil, errors.New("its fence is not closed, or text follows it")
	}
	inner = strings.TrimPrefix(inner, "json")
	return []byte(strings.TrimSpace(inner)), nil
}

// object reads raw as one JSON object without duplicate keys. encoding/json would use the last of two
// equal keys, ignore the case of keys, and accept null for any type.
func object(raw []byte) (map[string]json.RawMessage, error) {
	if !json.Valid(raw) {
		return nil, errors.New("it is not exactly one JSON value")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	open, err := d.Token()
	if err != nil {
		return nil, errors.New("it is not JSON")
	}
	if open != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	fields := map[string]json.RawMessage{}
	for d.More() {
		token, err := d.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("it has a key that is not a string")
		}
		if _, twice := fields[key]; twice {
			return nil, errors.New("it has a duplicate key")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("it has a value that is not JSON")
		}
		fields[key] = value
	}
	return fields, nil
}

// readLabel reads {"reasoning":…, "label":…, "signal_strength":…}. signal_strength is optional: endpoints
// without schema support omit it.
func readLabel(fields map[string]json.RawMessage) (finding, error) {
	label, err := boolean(fields, "label")
	if err != nil {
		return finding{}, err
	}
	var reasoning string
	if err := value(fields, "reasoning", '"', &reasoning); err != nil {
		return finding{}, err
	}
	expected := 2
	strength := "moderate"
	if !label {
		strength = "none"
	}
	if _, ok := fields["signal_strength"]; ok {
		expected++
		if err := value(fields, "signal_strength", '"', &strength); err != nil {
			return finding{}, err
		}
	}
	if len(fields) != expected {
		return finding{}, errors.New("it has an unexpected field")
	}
	switch strength {
	case "none", "weak", "moderate", "strong":
	default:
		return finding{}, errors.New(`"signal_strength" is not none, weak, moderate or strong`)
	}
	// A false label with a weak signal is possible; these two contradict themselves.
	if label && strength == "none" || !label && strength == "strong" {
		return finding{}, errors.New(`"label" and "signal_strength" contradict each other`)
	}
	return finding{found: label, strong: strength == "strong"}, nil
}

// readDetection reads {"detection_result":…, "entities":[…]}. It keeps only the number of entities.
func readDetection(fields map[string]json.RawMessage) (finding, error) {
	detection, err := boolean(fields, "detection_result")
	if err != nil {
		return finding{}, err
	}
	var entities []json.RawMessage
	if err := value(fields, "entities", '[', &entities); err != nil {
		return finding{}, err
	}
	if len(fields) != 2 {
		return finding{}, errors.New("it has an unexpected field")
	}
	for _, e := range entities {
		if e[0] != '"' {
			return finding{}, errors.New(`"entities" has an element that is not a string`)
		}
	}
	if !detection {
		if len(entities) > 0 {
			return finding{}, errors.New(`"detection_result" and "entities" contradict each other`)
		}
		return finding{}, nil
	}
	return finding{found: true, entities: max(len(entities), 1)}, nil
}

func boolean(fields map[string]json.RawMessage, name string) (bool, error) {
	switch raw, ok := fields[name]; {
	case !ok:
		return false, fmt.Errorf("%q is missing", name)
	case string(raw) == "true":
		return true, nil
	case string(raw) == "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", name)
}

// value reads a field whose JSON must begin with the given character, which determines its type.
func value(fields map[string]json.RawMessage, name string, begins byte, into any) error {
	raw, ok := fields[name]
	if !ok {
		return fmt.Errorf("%q is missing", name)
	}
	if len(raw) == 0 || raw[0] != begins {
		return fmt.Errorf("%q has the wrong type", name)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%q is not valid", name)
	}
	return nil
}
