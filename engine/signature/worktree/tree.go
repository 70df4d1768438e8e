package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// entry is a file in the tree of a commit.
type entry struct {
	hash plumbing.Hash
	link bool // a symbolic link, whose blob is its target
}

// Modes of a tree's entries, as they are written there.
const (
	modeFolder    = "40000"
	modeLink      = "120000"
	modeSubmodule = "160000"
)

const (
	maxDepth       = 64
	maxTreeEntries = 1_000_000
)

// files lists the files of a commit below the policy directory, by their paths relative to it, without hidden ones.
func (r *repository) files(ctx context.Context, root plumbing.Hash) (map[string]entry, error) {
	at := root
	for name := range strings.SplitSeq(r.prefix, "/") {
		if name == "" {
			continue
		}
		next, found, err := r.folder(at, name)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("the commit has no folder %s", r.prefix)
		}
		at = next
	}
	all := map[string]entry{}
	return all, r.collect(ctx, at, "", 0, all)
}

func (r *repository) folder(tree plumbing.Hash, wanted string) (found plumbing.Hash, ok bool, _ error) {
	err := r.each(tree, func(mode, name string, hash plumbing.Hash) error {
		if name == wanted && mode == modeFolder {
			found, ok = hash, true
		}
		return nil
	})
	return found, ok, err
}

func (r *repository) collect(ctx context.Context, tree plumbing.Hash, dir string, depth int, all map[string]entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth || len(all) > maxTreeEntries {
		return fmt.Errorf("the commit has more than %d files, or folders more than %d deep", maxTreeEntries, maxDepth)
	}
	return r.each(tree, func(mode, name string, hash plumbing.Hash) error {
		p := path.Join(dir, name)
		switch {
		case strings.HasPrefix(name, "."), mode == modeSubmodule:
			return nil
		case mode == modeFolder:
			return r.collect(ctx, hash, p, depth+1, all)
		}
		all[p] = entry{hash, mode == modeLink}
		return nil
	})
}

// each goes through the entries of one tree.
func (r *repository) each(tree plumbing.Hash, do func(mode, name string, hash plumbing.Hash) error) error {
	raw, err := r.read(plumbing.TreeObject, tree)
	if err != nil {
		return err
	}
	return eachEntry(raw, do)
}

var errTree = errors.New("a tree of the commit is damaged")

func eachEntry(raw []byte, do func(mode, name string, hash plumbing.Hash) error) error {
	for len(raw) > 0 {
		mode, rest, ok1 := bytes.Cut(raw, []byte{' '})
		name, rest, ok2 := bytes.Cut(rest, []byte{0})
		var hash plumbing.Hash
		if !ok1 || !ok2 || len(rest) < len(hash) || len(name) == 0 || bytes.ContainsRune(name, '/') {
			return errTree
		}
		copy(hash[:], rest)
		raw = rest[len(hash):]
		if err := do(string(mode), string(name), hash); err != nil {
			return err
		}
	}
	return nil
}
