package schema

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
)

// Load reads the schemas for METADATA annotations from a path, as "opa check --schema" does: a file is the schema of
// input; below a directory, team/input.json is schema.team.input. Without a path the result is nil.
func Load(path string) (*ast.SchemaSet, error) {
	set, err := loader.Schemas(path)
	if err != nil {
		return nil, fmt.Errorf("read the schemas at %s: %w", path, err)
	}
	return set, nil
}
