// Package durable writes files that survive a crash: a file has its name only when all of it is on disk, and the name is
// on disk when the call returns.
//
// google/renameio and natefinch/atomic replace a file as a whole, and sync no directory: after a loss of power the name may
// be that of the file before.
package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// WriteFile replaces the file at path, readable by its owner only. It is written aside, under a name that begins with
// prefix, in the same directory; a crash may leave that file behind. After an error the file at path is the one before,
// unless only syncing the directory failed.
func WriteFile(path, prefix string, content []byte) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, prefix+"*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a directory survive a crash. File systems that cannot sync a directory say so, and do not
// need it.
func SyncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // a directory of the caller's own
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // it was only read
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
