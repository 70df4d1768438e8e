package engine

import (
	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
)

// ParseJSON reads exactly one JSON value, such as an input: as encoding/json and
// [ast.InterfaceToValue] do together, without what lies between them. The text may be changed
// afterwards. An error says only that it is not JSON; encoding/json says more.
func ParseJSON(text []byte) (ast.Value, error) { return jsonast.Value(text) }

// AppendJSON writes a value, such as a decision, as encoding/json writes what [ast.JSON] makes of it.
// An error is of a value that is not ground.
func AppendJSON(to []byte, v ast.Value) ([]byte, error) { return jsonast.Append(to, v) }
