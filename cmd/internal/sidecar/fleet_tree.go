package sidecar

import (
	"crypto/sha256"
	"io/fs"

	"defenseclaw/engine"
	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"
	"defenseclaw/watcher/fleet"
	"defenseclaw/watcher/fleet/delta"
)

// fleetRevision is that of files as the engine computes it: they are relative to the root of the policy.
func fleetRevision(set delta.Set) string {
	return source.RevisionOf(func(yield func(string, [sha256.Size]byte) bool) {
		for _, f := range set.Files() {
			if !yield(f.Path, f.Sum) {
				return
			}
		}
	})
}

// fleetTree makes a directory that shares with the one before what has not changed.
func fleetTree(_ delta.Set, from fs.FS, change delta.Change) (fs.FS, error) {
	before, _ := from.(*memfs.Tree)
	changed := make(map[string][]byte, len(change.Files))
	for _, f := range change.Files {
		changed[f.Path] = f.Content
	}
	return before.Apply(changed, change.Removed)
}

// releaseTree is the files of a release, and what is meant to be gone from it.
type releaseTree struct {
	*memfs.Tree

	gone engine.Removals
}

// Removals makes it an [engine.RemovingSource].
func (t releaseTree) Removals() engine.Removals { return t.gone }

func releaseOf(o fleet.Offer) fs.FS {
	tree, ok := o.Tree.(*memfs.Tree)
	if !ok || !o.Back && o.Gone.IsZero() {
		return o.Tree
	}
	return releaseTree{tree, goneOf(o)}
}

func goneOf(o fleet.Offer) engine.Removals {
	gone := engine.Removals{All: o.Back, Files: o.Gone.Files}
	for _, name := range o.Gone.Packages {
		if path, err := engine.ParsePath(name); err == nil { // what is no path names no package
			gone.Packages = append(gone.Packages, path)
		}
	}
	return gone
}
