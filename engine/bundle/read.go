package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"defenseclaw/engine/internal/archive"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

// Limits of one bundle.
type Limits struct {
	Bytes     int64 // of all files, unpacked; 0: 1 GiB
	FileBytes int64 // of one of them; 0: as many as all
	Files     int   // 0: 100,000
}

const (
	defaultMaxBytes = 1 << 30
	defaultMaxFiles = 100_000
)

// Names of files in a bundle that are neither policy nor data.
const (
	ManifestName   = opabundle.ManifestExt // .manifest
	SignaturesName = ".signatures.json"

	patchName = "patch.json"
)

// Bundle is what one archive holds. Not to be changed.
type Bundle struct {
	Revision   string   // as its author called it, in the manifest; may be empty
	Roots      []string // that it owns, as slash paths below data; one empty text is everything
	Metadata   map[string]any
	Removals   Removals
	Manifest   []byte // nil if there is none
	Signatures []byte // of [SignaturesName]; nil if there is none
	Files      []File // policy and data, by path
	LeftOut    []LeftOut
}

// LeftOut is a file of a bundle that is no part of its policy.
type LeftOut struct {
	Path   string
	Reason string // a clause
}

// File is one file of a bundle.
type File struct {
	Path    string // slash path, without a slash before it
	Content []byte
}

// ErrTooLarge is wrapped by the error of a bundle over one of its limits.
var ErrTooLarge = archive.ErrTooLarge

// Read reads a bundle to its last byte. verify, if not nil, judges the bytes of all files but the signatures' own, as they
// were read, before anything is made of them.
func Read(ctx context.Context, in io.Reader, limits Limits, verify func(signatures []byte, files []File) error) (*Bundle, error) {
	if limits.Bytes == 0 {
		limits.Bytes = defaultMaxBytes
	}
	if limits.Files == 0 {
		limits.Files = defaultMaxFiles
	}
	r, err := archive.NewReader(ctx, in, archive.Limits{Bytes: limits.Bytes, Files: limits.Files})
	if err != nil {
		return nil, err
	}
	b := &Bundle{Roots: []string{""}}
	var all []File
	for {
		name, content, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if name == SignaturesName {
			b.Signatures = content
			continue
		}
		if limits.FileBytes > 0 && int64(len(content)) > limits.FileBytes {
			return nil, fmt.Errorf("%s has %d bytes: %w; %d were expected at most", name, len(content), ErrTooLarge, limits.FileBytes)
		}
		all = append(all, File{name, content})
	}
	if verify != nil {
		if err := verify(b.Signatures, all); err != nil {
			return nil, err
		}
	}
	if err := b.sort(all); err != nil {
		return nil, err
	}
	return b, b.checkRoots()
}

// sort puts each file where it belongs.
func (b *Bundle) sort(all []File) error {
	for _, f := range all {
		base := path.Base(f.Path)
		switch {
		case f.Path == ManifestName:
			if err := b.describe(f.Content); err != nil {
				return err
			}
		case strings.HasSuffix(f.Path, ManifestName): // OPA takes it for the bundle's, wherever it is
			return fmt.Errorf("%s: a manifest was expected in the root of the bundle only, as %s", f.Path, ManifestName)
		case strings.HasSuffix(f.Path, opabundle.ManifestProtoExt):
			return fmt.Errorf("%s: manifests in protobuf are not taken; build it without --plan-format proto", f.Path)
		case strings.HasSuffix(base, ".wasm"):
			return fmt.Errorf("%s: bundles with WebAssembly are not taken; build it without -t wasm", f.Path)
		case base == patchName:
			return fmt.Errorf("%s: delta bundles are not taken; serve snapshots", f.Path)
		case strings.HasSuffix(base, "_test.rego"):
			b.LeftOut = append(b.LeftOut, LeftOut{f.Path, "it is a test"})
		case isPolicy(base) || isData(base):
			b.Files = append(b.Files, f)
		default:
			b.LeftOut = append(b.LeftOut, LeftOut{f.Path, whyLeftOut(base)})
		}
	}
	slices.SortFunc(b.Files, func(x, y File) int { return strings.Compare(x.Path, y.Path) })
	slices.SortFunc(b.LeftOut, func(x, y LeftOut) int { return strings.Compare(x.Path, y.Path) })
	return nil
}

// whyLeftOut is why OPA has no use for a file of this name, and so this program has none.
func whyLeftOut(base string) string {
	switch path.Ext(base) {
	case ".json", ".yaml", ".yml":
		return "in a bundle, only files called data.json, data.yaml or data.yml are data"
	default:
		return "it is neither policy nor data"
	}
}

func isPolicy(base string) bool { return strings.HasSuffix(base, ".rego") }

func isData(base string) bool {
	return base == "data.json" || base == "data.yaml" || base == "data.yml"
}

// describe reads the manifest.
func (b *Bundle) describe(text []byte) error {
	var m opabundle.Manifest
	if err := util.UnmarshalJSON(bytes.TrimSpace(text), &m); err != nil {
		return fmt.Errorf("%s: %w", ManifestName, err)
	}
	if len(m.WasmResolvers) > 0 {
		return fmt.Errorf("%s: wasm: bundles with WebAssembly are not taken", ManifestName)
	}
	if err := v1Only(&m); err != nil {
		return err
	}
	b.Revision, b.Metadata, b.Manifest = m.Revision, m.Metadata, text
	if m.Roots == nil {
		return b.readRemovals()
	}
	b.Roots = nil
	for _, root := range *m.Roots {
		b.Roots = append(b.Roots, strings.Trim(root, "/"))
	}
	slices.Sort(b.Roots)
	for i, root := range b.Roots {
		for _, other := range b.Roots[i+1:] {
			if within(root, other) || within(other, root) {
				return fmt.Errorf("%s: the roots %q and %q overlap", ManifestName, root, other)
			}
		}
	}
	return b.readRemovals()
}

// v1Only refuses a bundle that says its modules are Rego v0.
func v1Only(m *opabundle.Manifest) error {
	const v1 = 1
	if m.RegoVersion != nil && *m.RegoVersion != v1 {
		return fmt.Errorf("%s: rego_version is %d; modules of Rego v1 are taken", ManifestName, *m.RegoVersion)
	}
	for pattern, version := range m.FileRegoVersions {
		if version != v1 {
			return fmt.Errorf("%s: file_rego_versions: %s is of Rego v%d; modules of Rego v1 are taken", ManifestName, pattern, version)
		}
	}
	return nil
}

// within reports whether a slash path is root or below it.
func within(p, root string) bool {
	return root == "" || p == root || strings.HasPrefix(p, root+"/")
}
