package engine

import (
	"math"

	"defenseclaw/engine/internal/jsonast"
	"defenseclaw/engine/internal/parse"

	"github.com/open-policy-agent/opa/v1/ast"
)

// ParseJSON reads exactly one JSON value, such as an input: as encoding/json and
// [ast.InterfaceToValue] do together, without what lies between them. The text may be changed
// afterwards. An error says only that it is not JSON; encoding/json says more.
func ParseJSON(text []byte) (ast.Value, error) { return jsonast.Value(text) }

// InputJSON is the text of an input, of any length: [ParseJSON] makes the same value of it. An error is of a value
// that is not ground.
func InputJSON(v ast.Value) ([]byte, error) { return jsonast.Append(nil, v, math.MaxInt) }

// CheckNumbers returns an error for the first number of a JSON text that has more than 10,000 digits, written without
// an exponent. [ParseJSON] refuses such a number too, without saying why.
func CheckNumbers(text []byte) error { return jsonast.CheckNumbers(text) }

// CheckYAMLInput reports what would be dropped, or take more memory than its text suggests, when a YAML text is
// decoded as an input: a document after the first, any alias, and mappings of thousands of keys, whose decoding
// takes time that grows with their square. It also reports text that is not YAML.
func CheckYAMLInput(text []byte) error { return parse.CheckYAML(text, false) }
