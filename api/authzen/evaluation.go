package authzen

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"strings"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
)

// evaluation asks whether a subject may do an action to a resource. An entity that is not given is nil. Only
// the required fields are checked; the policy interprets all others.
type evaluation struct{ subject, action, resource, context *entity }

// entity may be a default that many evaluations share, so it is never changed.
type entity struct{ fields map[string]any }

// evaluations are the evaluations of a batch and their defaults.
type evaluations struct {
	defaults evaluation
	list     []evaluation
	semantic string
}

// readEvaluation reads an evaluation from a JSON object. Field names are case-sensitive, unlike in
// encoding/json, so that a proxy that inspects the body reads the same fields.
func readEvaluation(body map[string]any, place string) (e evaluation, err error) {
	for name, place := range map[string]struct {
		of   **entity
		name string
	}{
		"subject": {&e.subject, place + "subject"}, "action": {&e.action, place + "action"},
		"resource": {&e.resource, place + "resource"}, "context": {&e.context, place + "context"},
	} {
		fields, err := object(body[name], place.name)
		if err != nil {
			return evaluation{}, err
		}
		if fields != nil {
			*place.of = &entity{fields: fields}
		}
	}
	return e, nil
}

func readEvaluations(body map[string]any) (all evaluations, err error) {
	if all.defaults, err = readEvaluation(body, ""); err != nil {
		return all, err
	}
	chosen, err := object(body["options"], "options")
	if err != nil {
		return all, err
	}
	var ok bool
	if all.semantic, ok = cmp.Or[any](chosen["evaluations_semantic"], executeAll).(string); !ok {
		return all, wrong("options.evaluations_semantic is not a string")
	}
	list, ok := body["evaluations"].([]any)
	if !ok && body["evaluations"] != nil {
		return all, wrong("evaluations is not an array")
	}
	for i, item := range list {
		place := fmt.Sprintf("evaluations[%d]", i)
		fields, err := object(item, place)
		if err != nil {
			return all, err
		}
		e, err := readEvaluation(fields, place+".")
		if err != nil {
			return all, err
		}
		all.list = append(all.list, e)
	}
	return all, nil
}

// object returns nil if value is nil.
func object(value any, place string) (map[string]any, error) {
	o, ok := value.(map[string]any)
	if !ok && value != nil {
		return nil, wrong("%s is not an object", place)
	}
	return o, nil
}

const executeAll = "execute_all"

// last returns the decision that ends the batch; nil if none does.
func (all evaluations) last() (*bool, error) {
	yes, no := true, false
	switch all.semantic {
	case executeAll:
		return nil, nil
	case "deny_on_first_deny":
		return &no, nil
	case "permit_on_first_permit":
		return &yes, nil
	default:
		return nil, wrong("options.evaluations_semantic is %q; expected execute_all, deny_on_first_deny or permit_on_first_permit", all.semantic)
	}
}

// or returns e with the entities that it lacks from defaults. Of an entity that e has, it adds only missing
// required fields, never properties.
func (e evaluation) or(defaults evaluation) evaluation {
	pick := func(own, other *entity, required ...string) *entity {
		if own == nil {
			return other
		}
		if other == nil {
			return own
		}
		fields := maps.Clone(own.fields)
		for _, field := range required {
			if value, ok := other.fields[field]; ok && fields[field] == nil {
				fields[field] = value
			}
		}
		return &entity{fields: fields}
	}
	return evaluation{
		subject: pick(e.subject, defaults.subject, "type", "id"), action: pick(e.action, defaults.action, "name"),
		resource: pick(e.resource, defaults.resource, "type", "id"), context: pick(e.context, defaults.context),
	}
}

// input returns the policy's input. The error says what the specification requires and e lacks.
func (e evaluation) input() (*engine.Input, error) {
	input := map[string]any{}
	for _, entity := range []struct {
		name     string
		value    *entity
		required []string
	}{
		{"subject", e.subject, []string{"type", "id"}},
		{"action", e.action, []string{"name"}},
		{"resource", e.resource, []string{"type", "id"}},
	} {
		if entity.value == nil {
			return nil, wrong("%s is required", entity.name)
		}
		for _, field := range entity.required {
			if text, ok := entity.value.fields[field].(string); !ok || text == "" {
				return nil, wrong("%s.%s is required and must be a non-empty string", entity.name, field)
			}
		}
		if properties, ok := entity.value.fields["properties"]; ok {
			if _, ok := properties.(map[string]any); !ok {
				return nil, wrong("%s.properties is not an object", entity.name)
			}
		}
		input[entity.name] = entity.value.fields
	}
	if e.context != nil {
		input["context"] = e.context.fields
	}
	read, err := engine.PlainInput(input)
	if err != nil {
		return nil, wrong("%s", err)
	}
	return read, nil
}

// verdict is the answer to one evaluation.
type verdict struct {
	Decision bool           `json:"decision"`
	Context  map[string]any `json:"context,omitempty"`
}

// read converts the document of the policy. An unexpected form is an error, so it does not permit.
func read(policy engine.Path, result any) (verdict, error) {
	switch result := result.(type) {
	case bool:
		return verdict{Decision: result}, nil
	case map[string]any:
		yes, ok := result["decision"].(bool)
		if !ok {
			return verdict{}, fmt.Errorf("%s is an object whose decision is not a boolean", policy)
		}
		d := verdict{Decision: yes}
		if value, ok := result["context"]; ok {
			if d.Context, ok = value.(map[string]any); !ok {
				return verdict{}, fmt.Errorf("%s is an object whose context is not an object", policy)
			}
		}
		return d, nil
	default:
		return verdict{}, fmt.Errorf("%s is neither a boolean nor an object with a decision", policy)
	}
}

// requestError means that the request is invalid.
type requestError struct{ message string }

func (e *requestError) Error() string { return e.message }

func wrong(format string, args ...any) error { return &requestError{fmt.Sprintf(format, args...)} }

// decode reads exactly one JSON object. Numbers keep their text. The last of two fields of the same name
// replaces the first.
func decode(r *http.Request) (map[string]any, error) {
	if !mayBeJSON(r.Header.Get("Content-Type")) {
		return nil, wrong("Content-Type must be application/json")
	}
	text, err := io.ReadAll(r.Body)
	if err == nil {
		err = engine.CheckNumbers(text)
	}
	if err != nil {
		return nil, malformed(text, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var body any
	if err := decoder.Decode(&body); err != nil {
		return nil, malformed(text, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed(text, cmp.Or(err, errors.New("more text after the first value")))
	}
	fields, ok := body.(map[string]any)
	if !ok {
		return nil, wrong("the body is not a JSON object")
	}
	return fields, nil
}

// mayBeJSON reports whether the content type is JSON or missing.
func mayBeJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}

func malformed(text []byte, err error) error {
	if errors.As(err, new(*http.MaxBytesError)) {
		return err
	}
	return wrong("invalid JSON body: %s", decision.Placed(text, err))
}
