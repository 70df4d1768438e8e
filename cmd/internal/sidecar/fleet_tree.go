package sidecar

import (
	"crypto/sha256"
	"io/fs"

	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"
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
