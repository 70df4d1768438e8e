//go:build unix

package watcher

import (
	"io/fs"
	"syscall"
)

// fileID tells apart two files that have the same name one after the other.
type fileID struct{ dev, ino uint64 }

func idOf(info fs.FileInfo) fileID {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(s.Dev), uint64(s.Ino)} //nolint:unconvert,gosec // the field types differ between systems
	}
	return fileID{}
}
