package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"defenseclaw/policies"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"pgregory.net/rapid"
)

// library is a schema as a JSON Schema library understands it.
func library(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("a.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("a.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// problems are what the library finds, spelled as here: it lists members in any order.
func problems(err error) (all []string) {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			walk(cause)
		}
		if len(e.Causes) > 0 {
			return
		}
		if more, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
			slices.Sort(more.Properties)
		}
		all = append(all, strings.Join(e.InstanceLocation, ".")+": "+e.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
	}
	walk(invalid)
	slices.Sort(all)
	return all
}

func TestTheRulesSayWhatAJSONSchemaLibrarySays(t *testing.T) {
	other := `{"type": "object", "additionalProperties": {"type": "integer", "minimum": -2000, "maximum": 99999},
		"properties": {"config": {"required": ["a'b", "c\"d"], "additionalProperties": false}, "audit": {"type": "null"}, "firewall": {"enum": ["one", "two"]}}}`
	for _, text := range []string{string(policies.DataSchema()), other} {
		ours, err := compile([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		theirs := library(t, []byte(text))
		rapid.Check(t, func(rt *rapid.T) {
			var data any = packData(t)
			for range rapid.IntRange(0, 4).Draw(rt, "edits") {
				data = mutate(rt, data)
			}
			if object, ok := data.(map[string]any); ok && rapid.Bool().Draw(rt, "number") {
				object["firewall"] = map[string]any{"allowed_ports": []any{
					rapid.SampledFrom([]json.Number{"0", "1", "1.0", "65535", "65536", "99999", "-70000", "1.5", "8e1", "1e9999999"}).Draw(rt, "port"),
				}}
				object["more"] = rapid.IntRange(-200_000, 200_000).Draw(rt, "more")
			}
			text, err := json.Marshal(data)
			if err != nil {
				rt.Fatal(err)
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err != nil {
				rt.Fatal(err)
			}
			var got []string
			for _, m := range ours.mistakes(value) {
				got = append(got, strings.Join(m.at, ".")+": "+m.String())
			}
			slices.Sort(got)
			if want := problems(theirs.Validate(value)); !slices.Equal(got, want) {
				rt.Fatalf("%s\n got %q\nwant %q", text, got, want)
			}
		})
	}
}

// A word that the rules do not know would be passed over.
func TestASchemaOfOtherWordsIsRefused(t *testing.T) {
	for _, text := range []string{
		`{"minItems": 1}`, `{"items": {"pattern": "a"}}`, `{"additionalProperties": {"format": "ipv4"}}`, `{"$defs": {"a": {"not": {}}}}`,
		`{"type": "text"}`, `{"type": ["string", "null"]}`, `{"enum": [1]}`, `{"$ref": "#/$defs/a"}`, `{"$ref": "other.json"}`,
		`{"additionalProperties": true}`, `{"minimum": 1e99999999}`, `true`, `{`,
	} {
		if _, err := compile([]byte(text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
