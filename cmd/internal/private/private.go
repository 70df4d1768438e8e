// Package private keeps files that only their owner may write: [Write] makes them so, and [Check] refuses those that
// others could have written.
package private

import (
	"errors"
	"os"
	"path/filepath"
)

// Write replaces a file atomically with one that only its owner can read. The text is on disk before the file gets
// its name. The owner is that of the directory: what root writes there for a service, the service can read.
//
// renameio does the same, but not on Windows, and it keeps the permissions of the file that it replaces.
func Write(path string, text []byte) error { return WriteMode(path, text, 0o600) }

// Replace is [Write] for a file that is there and keeps its permissions.
func Replace(path string, text []byte) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return WriteMode(path, text, info.Mode().Perm())
}

// WriteMode is [Write] with other permissions.
func WriteMode(path string, text []byte, mode os.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close())
	if err == nil {
		err = Adopt(temp.Name())
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
