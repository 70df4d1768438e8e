//go:build unix

package sidecar

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// ownerOf names a file's owner as the gate names a user of a Unix socket: "uid:1000 (ann)".
func ownerOf(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	id := strconv.FormatUint(uint64(stat.Uid), 10)
	if u, err := user.LookupId(id); err == nil && u.Username != "" {
		return "uid:" + id + " (" + u.Username + ")"
	}
	return "uid:" + id
}
