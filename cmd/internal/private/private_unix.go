//go:build unix

package private

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Check returns an error if others than the user of this process and root can write the file or directory at path, or
// own it. The error says what to do. A directory in which others may only add files of their own, such as /tmp, passes.
func Check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode(); mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0 {
		return fmt.Errorf("%s can be written by others (mode %04o): run chmod go-w %s", path, mode.Perm(), path)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if me := os.Geteuid(); ok && owner.Uid != 0 && int(owner.Uid) != me {
		return fmt.Errorf("%s belongs to the user id %d, and this process has %d: run chown %d %s", path, owner.Uid, me, me, path)
	}
	return nil
}

// ReadByOthers reports whether other users of this machine can read the file at path: it and its directory let them.
func ReadByOthers(path string) bool {
	file, err1 := os.Stat(path)
	dir, err2 := os.Stat(filepath.Dir(path))
	return err1 == nil && err2 == nil && file.Mode().Perm()&0o044 != 0 && dir.Mode().Perm()&0o011 != 0
}

// Adopt makes the owner of a file's directory its owner, if this process is root.
func Adopt(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	}
	return nil
}
