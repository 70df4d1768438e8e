// Package bundled makes bundles of loaded policy, and says what is in bundles that others made.
package bundled

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"defenseclaw/engine"
	"defenseclaw/engine/bundle"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

// Manifest is what a bundle says of itself.
type Manifest struct {
	Revision string         // empty: that of the generation
	Roots    []string       // as slash paths below data; nil: everything
	Metadata map[string]any // may be nil
}

// ReadManifest reads the file .manifest of a policy directory; the zero Manifest if there is none.
func ReadManifest(src fs.FS) (Manifest, error) {
	text, err := fs.ReadFile(src, bundle.ManifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, nil
	}
	var m opabundle.Manifest
	if err == nil {
		err = util.UnmarshalJSON(text, &m)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", bundle.ManifestName, err)
	}
	read := Manifest{Revision: m.Revision, Metadata: m.Metadata}
	if m.Roots != nil {
		read.Roots = *m.Roots
	}
	return read, nil
}

// Files makes the files of a bundle: the modules as they are, one data.json with the data as the generation has it, overlays
// included, and the manifest. Equal generations and manifests give equal bytes.
func Files(g *engine.Generation, m Manifest) ([]bundle.File, error) {
	roots := m.Roots
	if roots == nil {
		roots = []string{""}
	}
	if m.Revision == "" {
		m.Revision = g.Revision()
	}
	manifest := opabundle.Manifest{Revision: m.Revision, Roots: &roots, Metadata: m.Metadata}
	manifest.SetRegoVersion(ast.RegoV1)
	data, err := ast.JSON(g.Data())
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	var files []bundle.File
	for name, v := range map[string]any{bundle.ManifestName: manifest, "data.json": data} {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text) // sorts keys
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, bundle.File{Path: name, Content: text.Bytes()})
	}
	for _, f := range g.Files() {
		if f.Kind() == source.KindModule {
			files = append(files, bundle.File{Path: f.Rel(), Content: f.Bytes})
		}
	}
	return files, nil
}
