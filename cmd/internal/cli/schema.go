package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/policies"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// codeSchema is the code of what the default pack's schema finds.
const codeSchema = "data_schema"

// checkSchema compares the data with the schema that ships with the default pack. It holds for
// directories with the pack's admission; others have data of their own.
func checkSchema(g *engine.Generation) ([]api.Diagnostic, error) {
	if !g.HasPackage(engine.Path{"defenseclaw", "admission"}) {
		return nil, nil
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(policies.DataSchema()))
	if err != nil {
		return nil, fmt.Errorf("read the schema of the default pack: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("data.schema.json", schema); err != nil {
		return nil, fmt.Errorf("read the schema of the default pack: %w", err)
	}
	compiled, err := compiler.Compile("data.schema.json")
	if err != nil {
		return nil, fmt.Errorf("compile the schema of the default pack: %w", err)
	}
	data, err := ast.JSON(g.Data())
	if err != nil {
		return nil, fmt.Errorf("compare the data with the schema: %w", err)
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(compiled.Validate(data), &invalid) {
		return nil, nil
	}
	var found []api.Diagnostic
	printer := message.NewPrinter(language.English)
	eachCause(invalid, func(e *jsonschema.ValidationError) {
		d := api.Diagnostic{Code: codeSchema, Message: e.ErrorKind.LocalizedString(printer)}
		if where := strings.Join(e.InstanceLocation, "."); where != "" {
			d.Message = where + ": " + d.Message
		}
		d.File, d.Line, d.Column, d.Text = placeInData(g, e.InstanceLocation)
		found = append(found, d)
	})
	slices.SortFunc(found, func(a, b api.Diagnostic) int {
		return strings.Compare(fmt.Sprintf("%s %8d %8d %s", a.File, a.Line, a.Column, a.Message), fmt.Sprintf("%s %8d %8d %s", b.File, b.Line, b.Column, b.Message))
	})
	return found, nil
}

// eachCause calls f with the errors that have no causes of their own.
func eachCause(e *jsonschema.ValidationError, f func(*jsonschema.ValidationError)) {
	for _, cause := range e.Causes {
		eachCause(cause, f)
	}
	if len(e.Causes) == 0 {
		f(e)
	}
}

// placeInData finds where in which data file a value stands: as much of it as can be found.
func placeInData(g *engine.Generation, location []string) (file string, line, column int, text string) {
	for _, f := range g.Files() {
		if strings.HasSuffix(f.Path, ".rego") || path.Dir(f.Path) != g.Root() {
			continue
		}
		// An overlay's top-level keys take the place of those in data.json, and it is listed before it.
		if strings.HasSuffix(f.Path, ".json") {
			if at, depth := offsetOf(f.Bytes, location); depth > 0 || path.Base(f.Path) == "data.json" || file == "" {
				file = f.Path
				line, column, text = position(f.Bytes, at)
				if depth > 0 {
					return file, line, column, text
				}
			}
		} else if file == "" {
			file = f.Path
		}
	}
	return file, line, column, text
}

// offsetOf is where the value at location begins, or the innermost value around it that is there;
// depth is how many parts of location lead to it.
func offsetOf(text []byte, location []string) (at int64, depth int) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil || len(location) == 0 {
		return 0, 0
	}
	inArray := len(bytes.TrimLeft(text, " \t\r\n")) > 0 && bytes.TrimLeft(text, " \t\r\n")[0] == '['
	for index := 0; decoder.More(); index++ {
		name := fmt.Sprint(index)
		keyAt := decoder.InputOffset()
		if !inArray {
			key, err := decoder.Token()
			if err != nil {
				return 0, 0
			}
			name = fmt.Sprint(key)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return 0, 0
		}
		if name != location[0] {
			continue
		}
		at = decoder.InputOffset() - int64(len(value))
		inner, deeper := offsetOf(value, location[1:])
		if deeper == 0 && !inArray {
			return keyAt + int64(bytes.IndexByte(text[keyAt:], '"')), 1
		}
		return at + inner, 1 + deeper
	}
	return 0, 0
}

// position is an offset as line, column in bytes, and the text of the line.
func position(text []byte, at int64) (line, column int, source string) {
	at = min(at, int64(len(text)))
	before := text[:at]
	begin := bytes.LastIndexByte(before, '\n') + 1
	source, _, _ = strings.Cut(string(text[begin:]), "\n")
	return bytes.Count(before, []byte("\n")) + 1, int(at) - begin + 1, strings.TrimSuffix(source, "\r")
}
