// Package policies holds the default policy pack: the six domains that the sidecar decides when no policy
// directory is set. The pack is embedded, so that it cannot be changed by accident.
package policies

import (
	"embed"
	"io/fs"
)

//go:embed rego
var pack embed.FS

// FS returns the pack as a policy directory, tests included. Safe for concurrent use.
func FS() fs.FS {
	sub, err := fs.Sub(pack, "rego")
	if err != nil {
		panic("policies: the embedded folder has another name: " + err.Error()) //nolint:forbidigo // a mistake of the build
	}
	return sub
}

//go:embed data.schema.json
var dataSchema []byte

// DataSchema returns the JSON Schema of the pack's data. Callers must not change it.
func DataSchema() []byte { return dataSchema }
