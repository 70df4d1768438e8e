package preset

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"defenseclaw/cmd/internal/private"
)

// errChanged is wrapped by the error of a file that is not what the edit was made of.
var errChanged = errors.New("it has changed meanwhile: nothing was written")

// Replace gives a file another content, at once for all readers, and keeps a copy of the one before beside it, whose name
// is returned. A file that holds something other than before, or that is a link, stays as it is.
func Replace(path string, before, after []byte, now time.Time) (copied string, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file: change what it leads to", path)
	}
	copied = path + "." + now.UTC().Format("20060102T150405.000Z") + ".bak"
	if err := writeBeside(copied, before, info.Mode().Perm()); err != nil {
		return "", fmt.Errorf("keep a copy: %w", err)
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+now.UTC().Format(".150405.000000000")+".tmp")
	err = writeBeside(temp, after, info.Mode().Perm())
	if err == nil {
		// As late as can be: who saves the file between this and the rename loses his edit to the copy alone.
		var held []byte
		if held, err = os.ReadFile(path); err == nil && !bytes.Equal(held, before) { //nolint:gosec // the operator's own file
			err = fmt.Errorf("%s: %w", path, errChanged)
		}
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return "", errors.Join(err, remove(temp), remove(copied))
	}
	return copied, nil
}

// writeBeside writes a new file, which is on disk when it returns, for the owner of its directory.
func writeBeside(path string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // beside the operator's own file
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = private.Adopt(path)
	}
	if err != nil {
		return errors.Join(err, remove(path))
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
