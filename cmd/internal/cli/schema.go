package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
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

// content is what a directory holds, whether it could be loaded or not.
type content interface {
	HasPackage(path engine.Path) bool
	Data() ast.Object
	Files() []*engine.File
	Root() string
}

// hasSchema tells whose data the schema is about: directories with the pack's admission. Others
// have data of their own.
func hasSchema(dir content) bool { return dir.HasPackage(engine.Path{"defenseclaw", "admission"}) }

// checkDraft does what checkSchema does for a directory that could not be loaded, so that its data
// need not wait for its rules. Data that cannot be read whole would only seem to lack something.
func checkDraft(ctx context.Context, src fs.FS) ([]api.Diagnostic, error) {
	draft, err := engine.LoadDraft(ctx, src)
	if refused := new(engine.Refused); errors.As(err, &refused) || err == nil && !draft.DataComplete() {
		return nil, nil // as the refusal said
	}
	if err != nil {
		return nil, err
	}
	return checkSchema(draft)
}

// checkSchema compares the data with the schema that ships with the default pack.
func checkSchema(dir content) ([]api.Diagnostic, error) {
	if !hasSchema(dir) {
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
	data, err := ast.JSON(dir.Data())
	if err != nil {
		return nil, fmt.Errorf("compare the data with the schema: %w", err)
	}
	err = compiled.Validate(data)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil, err
	}
	var found []api.Diagnostic
	printer := message.NewPrinter(language.English)
	eachCause(invalid, func(e *jsonschema.ValidationError) {
		d := api.Diagnostic{Code: codeSchema, Message: e.ErrorKind.LocalizedString(printer)}
		if where := strings.Join(e.InstanceLocation, "."); where != "" {
			d.Message = where + ": " + d.Message
		}
		d.File, d.Line, d.Column, d.Text = placeInData(dir, e.InstanceLocation)
		found = append(found, d)
	})
	return inOrder(found), nil
}

// inOrder sorts diagnostics as those of a refusal are: by file, then as one reads.
func inOrder(ds []api.Diagnostic) []api.Diagnostic {
	slices.SortStableFunc(ds, func(a, b api.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return ds
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
