//go:build unix

package watcher

import (
	"io/fs"
	"syscall"
)

// fileID tells two files of the same name apart.
type fileID struct{ dev, ino uint64 }

func idOf(info fs.FileInfo) fileID {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(s.Dev), uint64(s.Ino)} //nolint:unconvert,gosec // the types differ by system
	}
	return fileID{}
}
