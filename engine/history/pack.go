package history

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// What an entry consists of. OPA's bundle reader reads files called data.json, data.yaml and data.yml
// as data in any folder, and ignores names that it has no use for.
const (
	manifestName = bundle.ManifestExt
	mergedName   = "data.json"
	sourceSuffix = ".source"

	entryFormat = 1
)

// The names in the manifest's metadata.
const (
	metaFormat     = "format"
	metaGeneration = "generation"
	metaLoadedAt   = "loaded_at"
	metaVersion    = "version"
	metaRoot       = "root"
	metaMerged     = "merged"
	metaSeq        = "seq"
	metaTrigger    = "trigger"
	metaActor      = "actor"
	metaVerified   = "verified" // an object; it is missing where nobody asked for a signature
)

// pack writes a generation as an entry. The same generation and record give the same bytes.
func pack(ctx context.Context, out io.Writer, g *engine.Generation, version string, r Record) error {
	// Decisions need the processor more than the disk needs the space: with 10,000 modules the fastest
	// level takes a quarter less time than the default one, and a fourteenth more space.
	gz, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	p := packer{ctx: ctx, tar: tar.NewWriter(gz), merged: needsMerging(g)}
	manifest, err := manifestOf(g, version, p.merged, r)
	if err != nil {
		return err
	}
	p.put(manifestName, manifest)
	if p.merged {
		p.putJSON(mergedName, g.Data())
	}
	for _, f := range g.Files() {
		name := relative(g.Root(), f.Path)
		if p.merged && isData(name) {
			name += sourceSuffix
		}
		p.put(name, f.Bytes)
	}
	if p.err != nil {
		return p.err
	}
	if err := p.tar.Close(); err != nil {
		return err
	}
	return gz.Close()
}

// packer remembers the first error, after which it does nothing.
type packer struct {
	ctx    context.Context //nolint:containedctx // the packer lives for one call of pack
	tar    *tar.Writer
	merged bool
	err    error
}

func (p *packer) put(name string, content []byte) {
	if p.err == nil {
		p.err = p.ctx.Err()
	}
	if p.err != nil {
		return
	}
	// No times and no owners, which would differ between two saves of one generation.
	p.err = p.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o600, ModTime: time.Unix(0, 0),
	})
	if p.err == nil {
		_, p.err = p.tar.Write(content)
	}
}

func (p *packer) putJSON(name string, data ast.Value) {
	if p.err != nil {
		return
	}
	v, err := ast.JSON(data)
	if err != nil {
		p.err = fmt.Errorf("%s: %w", name, err)
		return
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text) // sorts keys
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		p.err = fmt.Errorf("%s: %w", name, err)
		return
	}
	p.put(name, text.Bytes())
}

func manifestOf(g *engine.Generation, version string, merged bool, r Record) ([]byte, error) {
	metadata := map[string]any{
		metaFormat: entryFormat, metaGeneration: g.Number(), metaVersion: version, metaRoot: g.Root(), metaMerged: merged,
		metaSeq: r.Seq, metaTrigger: r.Trigger, metaActor: r.Actor,
	}
	if !g.LoadedAt().IsZero() {
		metadata[metaLoadedAt] = g.LoadedAt().UTC().Format(time.RFC3339Nano)
	}
	if v := g.Verified(); v != (engine.Verified{}) {
		metadata[metaVerified] = verifiedMeta(v)
	}
	m := bundle.Manifest{Revision: g.Revision(), Roots: &[]string{""}, Metadata: metadata}
	m.SetRegoVersion(ast.RegoV1)
	return json.Marshal(m)
}

// needsMerging reports whether OPA would read other data from the files than the engine does. Apart from
// the two cases here they agree: both decode with OPA's functions, put a file's data under its folder,
// and refuse two files that set one value.
func needsMerging(g *engine.Generation) bool {
	for _, f := range g.Files() {
		name := relative(g.Root(), f.Path)
		if isData(name) && (isOverlay(name) || bytes.HasPrefix(f.Bytes, []byte("\xef\xbb\xbf"))) {
			return true
		}
	}
	return false
}

// relative returns a path of the policy directory relative to root, the folder that holds the policy.
func relative(root, p string) string { return strings.TrimPrefix(p, root+"/") }

// isData reports whether a file of a generation is data; else it is a module.
func isData(name string) bool { return !strings.HasSuffix(name, bundle.RegoExt) }

func isOverlay(name string) bool {
	return isData(name) && strings.HasPrefix(path.Base(name), "data-")
}
