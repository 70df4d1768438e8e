package source

import (
	"io/fs"
	"syscall"
	"time"
)

// changeTime is when the file's content or attributes last changed. Unlike the modification time, no
// program can set it back.
func changeTime(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return time.Time{}
}
