// Package schema compares the data of a policy directory with the schema of the default pack, and reads the schemas
// that METADATA annotations name.
package schema

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"
	"defenseclaw/policies"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Code is the code of every diagnostic of this package.
const Code = "data_schema"

// Content is what a policy directory holds: an engine.Generation, or an engine.Draft of a directory
// that could not be loaded.
type Content interface {
	HasPackage(path engine.Path) bool
	Data() ast.Object
	Files() []*source.File
	Root() string
}

// Applies reports whether the schema describes the data of dir: it does where dir has the pack's
// admission policy. Other directories have data of their own.
func Applies(dir Content) bool { return dir.HasPackage(engine.Path{"defenseclaw", "admission"}) }

// CheckDraft is [Check] for a directory that could not be loaded: problems of its data are found before
// its rules compile. It finds none where a data file could not be read, since what that file holds would
// be reported as missing.
func CheckDraft(ctx context.Context, src fs.FS) (diagnostic.List, error) {
	draft, err := engine.LoadDraft(ctx, src)
	if refused := new(engine.Refused); errors.As(err, &refused) || err == nil && !draft.DataComplete() {
		return nil, nil // the refusal has a diagnostic for it
	}
	if err != nil {
		return nil, err
	}
	return Check(draft)
}

// Check compares the data of dir with the schema that ships with the default pack. The diagnostics are
// sorted; there are none where the schema does not apply.
func Check(dir Content) (diagnostic.List, error) {
	if !Applies(dir) {
		return nil, nil
	}
	compiled, err := compiledSchema()
	if err != nil {
		return nil, err
	}
	data, err := ast.JSON(dir.Data())
	if err != nil {
		return nil, fmt.Errorf("compare the data with the schema: %w", err)
	}
	err = compiled.Validate(data)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil, err
	}
	return diagnose(dir, invalid, func(string) bool { return true }), nil
}

// diagnose lists what is wrong, each with its place. Of the sections that are missing, it lists those that are needed.
func diagnose(dir Content, invalid *jsonschema.ValidationError, needed func(section string) bool) diagnostic.List {
	var found diagnostic.List
	printer := message.NewPrinter(language.English)
	eachCause(invalid, func(e *jsonschema.ValidationError) {
		if missing, ok := e.ErrorKind.(*kind.Required); ok && len(e.InstanceLocation) == 0 {
			left := slices.DeleteFunc(slices.Clone(missing.Missing), func(section string) bool { return !needed(section) })
			if len(left) == 0 {
				return
			}
			e.ErrorKind = &kind.Required{Missing: left}
		}
		d := diagnostic.Diagnostic{Code: Code, Message: e.ErrorKind.LocalizedString(printer)}
		if where := strings.Join(e.InstanceLocation, "."); where != "" {
			d.Message = where + ": " + d.Message
		}
		d.File, d.Line, d.Column, d.Text = placeInData(dir, e.InstanceLocation)
		found = append(found, d)
	})
	return found.Sorted()
}

// compiledSchema is the schema of the default pack, compiled once.
var compiledSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
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
	return compiled, nil
})

// eachCause calls f with the errors that have no causes of their own.
func eachCause(e *jsonschema.ValidationError, f func(*jsonschema.ValidationError)) {
	for _, cause := range e.Causes {
		eachCause(cause, f)
	}
	if len(e.Causes) == 0 {
		f(e)
	}
}
