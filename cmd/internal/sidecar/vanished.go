package sidecar

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"defenseclaw/engine/history"
)

// errFound ends a walk.
var errFound = errors.New("a file is missing")

// lacksServedFiles reports whether the directory lacks a file of the policy that served last in an earlier run. Then
// that policy serves first, so that the engine judges what vanished between two runs as it judges what vanishes in
// one: a restart must not accept what a reload refuses. What somebody signed lacks a file on purpose.
func (s *Sidecar) lacksServedFiles(ctx context.Context) bool {
	if _, signed := s.origin.(keptOrigin); signed || s.history == nil || s.cfg.Settings.Place() == "" {
		return false
	}
	found, err := s.history.Newest(ctx, func(f history.Found) error { return s.mayRestore(ctx, f) })
	if err != nil {
		return false
	}
	src, err := s.source()
	if err != nil {
		return false // the load says why
	}
	if closer, ok := src.(io.Closer); ok {
		defer closer.Close() //nolint:errcheck // it was only read
	}
	err = fs.WalkDir(found.FS, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if _, err := fs.Stat(src, name); errors.Is(err, fs.ErrNotExist) {
			return errFound
		}
		return nil
	})
	return errors.Is(err, errFound)
}
