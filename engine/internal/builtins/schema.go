package builtins

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// matchSchema is OPA's json.match_schema for a schema that refers to nothing outside of it, and that ends:
// OPA's validator recurses without a limit, and a schema may apply itself to the same document for ever.
func matchSchema(opas topdown.BuiltinFunc) topdown.BuiltinFunc {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		if err := small(bctx, operands); err != nil {
			return err
		}
		document, ok, err := jsonOf(operands[0].Value)
		if err != nil {
			return err
		}
		schema, okSchema, err := jsonOf(operands[1].Value)
		if err != nil {
			return err
		}
		if ok && okSchema { // or OPA finds a better error
			if err := checkSchema(bctx, schema); err != nil {
				return err
			}
			if err := checkCost(bctx, schema, document); err != nil {
				return err
			}
		}
		return opas(offline(bctx), operands, iter)
	}
}

// verifySchema is OPA's json.verify_schema, with the refusals of [matchSchema] as its answer.
func verifySchema(opas topdown.BuiltinFunc) topdown.BuiltinFunc {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		if err := small(bctx, operands); err != nil {
			return err
		}
		schema, ok, err := jsonOf(operands[0].Value)
		if err == nil && ok {
			err = checkSchema(bctx, schema)
		}
		var halt topdown.Halt
		if errors.As(err, &halt) {
			return err
		}
		if err != nil {
			return iter(ast.ArrayTerm(ast.InternedTerm(false), ast.StringTerm("jsonschema: "+err.Error())))
		}
		return opas(offline(bctx), operands, iter)
	}
}

// offline lets OPA fetch from no host. Capabilities are shared, so it changes a copy.
func offline(bctx topdown.BuiltinContext) topdown.BuiltinContext {
	bctx.Capabilities = noNet
	return bctx
}

var noNet = &ast.Capabilities{AllowNet: []string{}}

// jsonOf returns what OPA's schema library reads from an operand; ok is false where it reads nothing.
func jsonOf(v ast.Value) (_ any, ok bool, err error) {
	var result any
	switch v := v.(type) {
	case ast.String:
		if !json.Valid([]byte(v)) {
			return nil, false, nil
		}
		d := json.NewDecoder(strings.NewReader(string(v)))
		d.UseNumber()
		if err := d.Decode(&result); err != nil {
			return nil, false, err
		}
		var values int
		if err := smallJSON(result, &values); err != nil {
			return nil, false, err
		}
	case ast.Object, *ast.Array:
		if result, err = ast.JSON(v); err != nil {
			return nil, false, err
		}
	default:
		return nil, false, nil
	}
	return result, true, nil
}

// smallJSON is [small] for decoded JSON, whose depth the decoder bounds.
func smallJSON(v any, values *int) error {
	if *values++; *values > MaxValues {
		return tooLarge("an operand", "values", MaxValues)
	}
	switch v := v.(type) {
	case json.Number:
		return shortEnough(string(v))
	case []any:
		for _, item := range v {
			if err := smallJSON(item, values); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, item := range v {
			if err := smallJSON(item, values); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSchema returns an error for a schema with a reference to a file, and for one that takes too long to
// compile. OPA opens the files without asking its capabilities; it asks them for hosts.
func checkSchema(bctx topdown.BuiltinContext, schema any) error {
	if name := fileIn(schema); name != "" {
		return refusal("the schema refers to " + name + ": a builtin must not reach out of the process")
	}
	return newSchemaModel(bctx, schema).compile(schema, 0)
}

// fileIn returns a reference, or a base for references, with the scheme of files. It looks everywhere, since a
// reference can make a schema of any part of the text.
func fileIn(v any) string {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if name := fileIn(item); name != "" {
				return name
			}
		}
	case map[string]any:
		for key, item := range v {
			if s, ok := item.(string); ok && (key == "$ref" || key == "$id" || key == "id") {
				if u, err := url.Parse(s); err == nil && u.Scheme == "file" {
					return s
				}
			}
			if name := fileIn(item); name != "" {
				return name
			}
		}
	}
	return ""
}

// checkCost returns an error where the validation of the document would recurse too deep or take too long.
func checkCost(bctx topdown.BuiltinContext, schema, document any) error {
	return newSchemaModel(bctx, schema).apply(schema, document, 0)
}
