// Package policies holds the default policy pack: the six domains that the sidecar decides when
// nobody gave it other policy. The pack is embedded, so that it cannot be changed by accident.
package policies

import (
	"embed"
	"io/fs"
)

//go:embed rego
var pack embed.FS

// FS is the pack as a policy directory, tests included. Safe for concurrent use.
func FS() fs.FS {
	sub, err := fs.Sub(pack, "rego")
	if err != nil {
		panic("policies: the embedded folder has another name: " + err.Error()) //nolint:forbidigo // a mistake of the build
	}
	return sub
}

//go:embed data.schema.json
var dataSchema []byte

// DataSchema is the JSON Schema of the pack's data, for whoever changes it. Not to be changed.
func DataSchema() []byte { return dataSchema }
