package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Bounds of what a reference may lead to.
const (
	maxManifestBytes = 4 << 20 // what registries take
	maxManifests     = 32      // that are read for one reference
	maxDepth         = 4       // of indexes in indexes, as OPA has it
)

// layerTypes are the media types of a bundle: OPA's own, which the policy command line writes, and what docker makes of it.
var layerTypes = []string{ocispec.MediaTypeImageLayerGzip, "application/vnd.docker.image.rootfs.diff.tar.gzip"}

// layer finds the layer that is the bundle now.
func (r *Repository) layer(ctx context.Context) (ocispec.Descriptor, error) {
	manifest, err := r.resolve(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	r.mu.Lock()
	newest := r.newest
	r.mu.Unlock()
	if newest.manifest.Digest != manifest.Digest {
		w := walk{repository: r, seen: map[string]bool{}}
		newest = found{manifest: manifest}
		if newest.layer, newest.err = w.bundleIn(ctx, manifest, 0); newest.err != nil && !errors.Is(newest.err, errNoBundle) {
			return ocispec.Descriptor{}, newest.err // another try may read it
		}
		r.mu.Lock()
		r.newest = newest
		r.mu.Unlock()
	}
	return newest.layer, newest.err
}

// resolve asks with HEAD, which registries that count what is pulled do not count. One that does not answer it as it should is
// asked for the manifest.
func (r *Repository) resolve(ctx context.Context) (ocispec.Descriptor, error) {
	manifest, err := r.remote.Resolve(ctx, r.remote.Reference.Reference)
	_, refused := errors.AsType[*errcode.ErrorResponse](err)
	_, unreachable := errors.AsType[*url.Error](err)
	if err == nil || refused || unreachable || errors.Is(err, errdef.ErrNotFound) {
		return manifest, err
	}
	manifest, body, fetched := r.remote.FetchReference(ctx, r.remote.Reference.Reference)
	if fetched != nil {
		return manifest, errors.Join(err, fetched)
	}
	return manifest, body.Close()
}

// errNoBundle is wrapped by the error of a manifest that leads to no bundle, however often it is read.
var errNoBundle = errors.New("no bundle")

// walk is one search for a bundle.
type walk struct {
	repository *Repository
	seen       map[string]bool // digests of manifests
}

// bundleIn looks for the first bundle in a manifest, or in those of an index.
func (w *walk) bundleIn(ctx context.Context, of ocispec.Descriptor, depth int) (ocispec.Descriptor, error) {
	text, err := w.read(ctx, of)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var manifest struct {
		Layers    []ocispec.Descriptor `json:"layers"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%w: the manifest %s: %w", errNoBundle, of.Digest, err)
	}
	for _, layer := range manifest.Layers {
		if slices.Contains(layerTypes, layer.MediaType) {
			return layer, nil
		}
	}
	if len(manifest.Layers) > 0 || len(manifest.Manifests) == 0 {
		return ocispec.Descriptor{}, fmt.Errorf("%w: the manifest %s has %s; a layer of the type %s was expected",
			errNoBundle, of.Digest, typesOf(manifest.Layers), ocispec.MediaTypeImageLayerGzip)
	}
	if depth >= maxDepth {
		return ocispec.Descriptor{}, fmt.Errorf("%w: indexes are nested more than %d deep", errNoBundle, maxDepth)
	}
	last := fmt.Errorf("%w: the index %s has none for any platform", errNoBundle, of.Digest)
	for _, next := range manifest.Manifests {
		if p := next.Platform; w.seen[next.Digest.String()] || p != nil && p.OS == "unknown" && p.Architecture == "unknown" {
			continue // read already, or about how an image was built
		}
		layer, err := w.bundleIn(ctx, next, depth+1)
		if err == nil || !errors.Is(err, errNoBundle) {
			return layer, err
		}
		last = err
	}
	return ocispec.Descriptor{}, last
}

// read reads a manifest that is what its descriptor says.
func (w *walk) read(ctx context.Context, of ocispec.Descriptor) ([]byte, error) {
	switch {
	case of.Size > maxManifestBytes:
		return nil, fmt.Errorf("%w: the manifest %s has %d bytes; at most %d are read", errNoBundle, of.Digest, of.Size, maxManifestBytes)
	case len(w.seen) == maxManifests:
		return nil, fmt.Errorf("%w: more than %d manifests would have to be read", errNoBundle, maxManifests)
	}
	w.seen[of.Digest.String()] = true
	body, err := w.repository.remote.Manifests().Fetch(ctx, of)
	if err != nil {
		return nil, err
	}
	defer body.Close() //nolint:errcheck // it was only read
	text, err := content.ReadAll(io.LimitReader(body, maxManifestBytes), of)
	if err != nil {
		return nil, fmt.Errorf("the manifest %s: %w", of.Digest, err)
	}
	return text, nil
}

func typesOf(layers []ocispec.Descriptor) string {
	if len(layers) == 0 {
		return "no layers"
	}
	const most = 5
	var types []string
	for _, layer := range layers[:min(len(layers), most)] {
		types = append(types, fmt.Sprintf("%.100q", layer.MediaType))
	}
	return "layers of the types " + strings.Join(types, ", ")
}
