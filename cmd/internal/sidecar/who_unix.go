//go:build unix

package sidecar

import (
	"io/fs"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// ownerOf is a file's owner: "uid:1000".
func ownerOf(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return "uid:" + strconv.FormatUint(uint64(stat.Uid), 10)
}

// nameOwner adds the name, as the gate does for a user of a Unix socket: "uid:1000 (ann)". It reads a file.
func nameOwner(owner string) string {
	if u, err := user.LookupId(strings.TrimPrefix(owner, "uid:")); err == nil && u.Username != "" {
		return owner + " (" + u.Username + ")"
	}
	return owner
}
