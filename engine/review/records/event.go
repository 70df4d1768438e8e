package records

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// event is what this package reads and writes of an event of OPA's decision log.
type event struct {
	Labels     map[string]string          `json:"labels"`
	DecisionID string                     `json:"decision_id,omitempty"`
	Bundles    map[string]bundle          `json:"bundles,omitempty"`
	Revision   string                     `json:"revision,omitempty"` // of logs without bundles
	Path       string                     `json:"path,omitempty"`
	Query      string                     `json:"query,omitempty"`
	Input      json.RawMessage            `json:"input,omitempty"`
	Result     json.RawMessage            `json:"result,omitempty"`
	NDBuiltins json.RawMessage            `json:"nd_builtin_cache,omitempty"`
	Erased     []string                   `json:"erased,omitempty"`
	Masked     []string                   `json:"masked,omitempty"`
	Error      json.RawMessage            `json:"error,omitempty"`
	Timestamp  time.Time                  `json:"timestamp"`
	Custom     map[string]json.RawMessage `json:"custom,omitempty"`
}

type bundle struct {
	Revision string `json:"revision,omitempty"`
}

// eventError is an error in an event. On a console, OPA writes its text instead.
type eventError struct {
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
}

// ourBundle is the name of the bundle whose revision is the generation's, as in the decision log.
const ourBundle = "defenseclaw"

// record makes a record of an event; why says why there is none.
func (e *event) record() (_ Record, why Reason) {
	switch {
	case e.DecisionID == "" && len(e.Labels) == 0:
		return Record{}, SkippedOther
	case e.Query != "":
		return Record{}, SkippedQuery
	}
	r := Record{
		DecisionID: e.DecisionID, Path: strings.Trim(e.Path, "/"), Input: compact(e.Input), Result: compact(e.Result),
		Error: errorText(e.Error), Revision: e.revision(), Time: e.Timestamp, NDBuiltins: compact(e.NDBuiltins),
		Masked: len(e.Erased)+len(e.Masked) > 0,
	}
	if strings.HasPrefix(r.Error, undefinedCode) { // OPA's API says so where its older one answers 404
		r.Error = ""
	}
	if r.Error != "" {
		r.Result = nil
	}
	if text := string(r.NDBuiltins); text == "{}" || text == "null" {
		r.NDBuiltins = nil
	}
	// What is not of the expected type is somebody else's.
	_ = json.Unmarshal(e.Custom["branch"], &r.Branch)
	_ = json.Unmarshal(e.Custom["shape"], &r.Shape)
	_ = json.Unmarshal(e.Custom["strict"], &r.Strict)
	if err := json.Unmarshal(e.Custom["seen"], &r.Weight); err != nil || r.Weight < 0 {
		r.Weight = 0
	}
	return r, ""
}

const undefinedCode = "undefined_document"

func (e *event) revision() string {
	if len(e.Bundles) == 0 {
		return e.Revision
	}
	if len(e.Bundles) == 1 {
		for _, b := range e.Bundles {
			return b.Revision
		}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(e.Bundles)) {
		all = append(all, name+"="+e.Bundles[name].Revision)
	}
	return strings.Join(all, ",")
}

// errorText is the text of an error: "code: message", where it is an object as in OPA's uploads.
func errorText(text json.RawMessage) string {
	var plain string
	var object eventError
	switch {
	case len(text) == 0 || string(text) == "null":
		return ""
	case json.Unmarshal(text, &plain) == nil:
		return plain
	case json.Unmarshal(text, &object) == nil && object.Message != "":
		if object.Code == "" {
			return object.Message
		}
		return object.Code + ": " + object.Message
	default:
		return string(compact(text))
	}
}

// coded is a text that [errorText] made of a code and a message.
var coded = regexp.MustCompile(`(?s)^([a-z_]+_error): (.+)$`)

// compact returns a copy without spaces; nil for nothing.
func compact(text json.RawMessage) json.RawMessage {
	if len(text) == 0 {
		return nil
	}
	var b bytes.Buffer
	b.Grow(len(text))
	if json.Compact(&b, text) != nil {
		return nil // it was read as JSON, so it is
	}
	return b.Bytes()
}

// eventOf makes the event of a record.
func eventOf(r *Record) (event, error) {
	e := event{
		Labels: map[string]string{}, DecisionID: r.DecisionID, Path: r.Path, Input: r.Input, Result: r.Result, NDBuiltins: r.NDBuiltins,
		Timestamp: r.Time.UTC(),
	}
	if r.DecisionID == "" { // an event must have one of both to be told from other lines
		e.Labels["recorded"] = "true"
	}
	if r.Revision != "" {
		e.Bundles = map[string]bundle{ourBundle: {r.Revision}}
	}
	if r.Masked {
		e.Masked = []string{"/input"} // of which something is
	}
	if r.Error != "" {
		failed := eventError{Message: r.Error}
		if parts := coded.FindStringSubmatch(r.Error); parts != nil {
			failed = eventError{Code: parts[1], Message: parts[2]}
		}
		var err error
		if e.Error, err = json.Marshal(failed); err != nil {
			return event{}, fmt.Errorf("write decision %s: %w", r.DecisionID, err)
		}
	}
	custom := map[string]any{}
	if r.Weight > 0 {
		custom["seen"] = r.Weight
	}
	if r.Branch != "" {
		custom["branch"] = r.Branch
	}
	if r.Shape != "" {
		custom["shape"] = r.Shape
	}
	if r.Strict {
		custom["strict"] = true
	}
	for name, value := range custom {
		text, err := json.Marshal(value)
		if err != nil {
			return event{}, fmt.Errorf("write decision %s: %w", r.DecisionID, err)
		}
		if e.Custom == nil {
			e.Custom = map[string]json.RawMessage{}
		}
		e.Custom[name] = text
	}
	return e, nil
}

// Write writes records as events of OPA's decision log, one a line. The weight is in custom.seen, the branch, the shape and
// whether errors were strict in custom, too.
func Write(w io.Writer, all []Record) error {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	for i := range all {
		e, err := eventOf(&all[i])
		if err != nil {
			return err
		}
		if err := lines.Encode(e); err != nil {
			return fmt.Errorf("write decision %s: %w", all[i].DecisionID, err)
		}
	}
	return nil
}
