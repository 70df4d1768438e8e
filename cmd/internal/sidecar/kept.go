package sidecar

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"defenseclaw/api"
	"defenseclaw/engine/history"
)

// minPrefix is how many digits of a revision name it at the least.
const minPrefix = 4

// IsRevision reports whether a name can only mean a kept policy: the beginning of a revision.
func IsRevision(name string) bool {
	digits, said := strings.CutPrefix(name, "sha256:")
	return said || len(digits) >= minPrefix && strings.Trim(digits, "0123456789abcdef") == ""
}

// Kept returns the newest policy of the history whose revision begins with name. An error wraps [api.ErrNoSide] if there
// is none.
func Kept(ctx context.Context, store *history.Store, name string) (fs.FS, error) {
	if !IsRevision(name) {
		return nil, fmt.Errorf("%w: %q is neither serving nor disk, nor the first %d digits of a revision", api.ErrNoSide, name, minPrefix)
	}
	entries, err := store.Entries()
	if err != nil {
		return nil, err
	}
	want := "sha256:" + strings.TrimPrefix(name, "sha256:")
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(info.Revision, want) {
			continue // one that cannot be read has no name
		}
		src, err := e.FS(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		return src, nil
	}
	return nil, fmt.Errorf("%w: revision %s", api.ErrNoSide, name)
}

// kept is what the API is given; nil where nothing is kept.
func (s *Sidecar) kept() func(context.Context, string) (fs.FS, error) {
	if s.history == nil {
		return nil
	}
	return func(ctx context.Context, name string) (fs.FS, error) { return Kept(ctx, s.history, name) }
}
