package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"defenseclaw/cmd/internal/signed"
	"defenseclaw/engine"
	opabundle "defenseclaw/engine/bundle"
	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"
	"defenseclaw/watcher/bundle"

	"go.uber.org/zap"
)

// unpacker reads bundles, and keeps them for the next start.
type unpacker struct {
	url    string
	store  keptBundles
	limits opabundle.Limits
	signed *signed.Sources
	logger *zap.Logger
	unkept bool // nothing of it may be on disk
}

// newUnpacker reads the bundles that are at a URL.
func (s *Sidecar) newUnpacker(url string) *unpacker {
	return &unpacker{
		url: url, store: keptBundles{dir: s.cfg.Settings.SourceDir(url)}, limits: unpackLimits(s.limits()),
		signed: s.signed, logger: s.cfg.Logger,
	}
}

// unpackLimits are those of a bundle. It is read into memory whole, so one with a file that no policy here may have is refused by the
// size that the bundle says of the file, before that is read.
func unpackLimits(l source.Limits) opabundle.Limits {
	limits := opabundle.Limits{Files: l.Files}
	const most = 1 << 30
	if l.Memory > 0 && l.Memory < most {
		limits.Bytes = l.Memory
	}
	return limits
}

// unpack is for [bundle.Config].
func (u *unpacker) unpack(ctx context.Context, name, etag string, in io.Reader) (bundle.Unpacked, error) {
	keep, err := &keptFile{}, error(nil)
	if !u.unkept {
		keep, err = u.store.begin(name, keptBundle{URL: u.url, ETag: etag})
	}
	if err != nil {
		u.logger.Warn("the bundle is not kept for the next start", zap.String("bundle", name), zap.Error(err))
	}
	unpacked, err := u.read(ctx, name, io.TeeReader(in, keep))
	if err != nil {
		keep.drop()
		return nil, err
	}
	if err := keep.end(); err != nil {
		u.logger.Warn("the bundle is not kept for the next start", zap.String("bundle", name), zap.Error(err))
	}
	return unpacked, nil
}

// unpackedBundle is a bundle, and who signed it.
type unpackedBundle struct {
	*opabundle.Bundle
	by engine.Verified
}

// read refuses a bundle that is not signed as it has to be, before anything is made of it.
func (u *unpacker) read(ctx context.Context, name string, in io.Reader) (*unpackedBundle, error) {
	var by engine.Verified
	b, err := opabundle.Read(ctx, in, u.limits, func(signatures []byte, files []opabundle.File) (err error) {
		by, err = u.signed.VerifyNamed(name, signatures, files)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &unpackedBundle{b, by}, nil
}

// kept is the bundle that an earlier run kept, with its ETag; nil if there is none.
func (u *unpacker) kept(name string) (etag string, _ bundle.Unpacked) {
	if u.unkept {
		if err := u.store.remove(name); err != nil {
			u.logger.Error("the bundle of an earlier run is still on disk, and should not be", zap.String("bundle", name), zap.Error(err))
		}
		return "", nil
	}
	from, in, err := u.store.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err == nil {
		defer in.Close() //nolint:errcheck // it was only read
		if from.URL != u.url {
			return "", nil
		}
		var unpacked *unpackedBundle
		if unpacked, err = u.read(context.Background(), name, in); err == nil {
			return from.ETag, unpacked
		}
	}
	u.logger.Warn("the bundle of an earlier run cannot be read, and is fetched anew", zap.String("bundle", name), zap.Error(err))
	return "", nil
}

// signedTree is what bundles hold that were verified when they were read.
type signedTree struct {
	*memfs.Tree

	by      engine.Verified
	bundles map[string]bundle.Unpacked
	gone    engine.Removals
}

// Verified makes it an [engine.VerifiedSource].
func (t signedTree) Verified() engine.Verified { return t.by }

// Removals makes it an [engine.RemovingSource].
func (t signedTree) Removals() engine.Removals { return t.gone }

// treeOf makes the policy directory of what [unpacker.unpack] read. It shares with the one before what has not changed.
func treeOf(all map[string]bundle.Unpacked, previous fs.FS) (tree fs.FS, changed []string, err error) {
	bundles := map[string]*opabundle.Bundle{}
	var by []engine.Verified
	var gone engine.Removals
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b, ok := all[name].(*unpackedBundle)
		if !ok {
			return nil, nil, fmt.Errorf("bundle %s: %T was read", name, all[name])
		}
		bundles[name], by = b.Bundle, append(by, b.by)
		for _, path := range b.Removals.Packages {
			gone.Packages = append(gone.Packages, path)
		}
		gone.Files = append(gone.Files, b.Removals.Files...)
	}
	before, _ := previous.(signedTree)
	now, err := opabundle.TreeAfter(before.Tree, bundles)
	if err != nil {
		return nil, nil, err
	}
	return signedTree{now, signed.Join(by...), all, gone}, now.ChangedSince(before.Tree), nil
}

// revisionOf is the name that a bundle has for its version.
func revisionOf(unpacked bundle.Unpacked) string {
	if b, ok := unpacked.(*unpackedBundle); ok {
		return b.Revision
	}
	return ""
}
