package migrate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/api/audit"
)

// database is about the original's records and lists.
func (c *check) database() (err error) {
	path := filepath.Join(c.set.DataDir, "audit.db")
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	read, done, err := aside(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	original, err := audit.OpenOriginal(c.ctx, read)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, original.Close()) }()
	lists, err := original.Lists(c.ctx)
	if errors.Is(err, audit.ErrNotOriginal) {
		c.found(Ignored, "database", "audit.db is not a database of the original: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	c.found(Used, "records", "the original's stay in audit.db, which is never written to: audit list --original shows them. Ours are in sidecar-audit.db")
	c.lists(lists)
	return nil
}

func (c *check) lists(found audit.Import) {
	blocked := 0
	for _, e := range found.Entries {
		if e.List == audit.ListBlock {
			blocked++
		}
	}
	text := fmt.Sprintf("%d blocked and %d allowed targets of audit.db", blocked, len(found.Entries)-blocked)
	if _, err := os.Lstat(filepath.Join(c.set.DataDir, "sidecar-audit.db")); err == nil {
		text += ", unless an earlier start has taken them over; list import offers them again"
	}
	c.found(Imported, "lists", "%s", text)
	for _, left := range found.LeftOut {
		if left.List == audit.ListBlock {
			c.attention("lists", "block it by list add block, if it should be", "%s is not taken over: %s", left.Target, left.Why)
			continue
		}
		c.found(Ignored, "lists", "%s: %s", left.Target, left.Why)
	}
}

// aside returns the path of a database that can be read without a trace. SQLite changes the files beside one of which
// the newest part is in a second file, as a killed process leaves it or a running one has it: it is copied.
func aside(path string) (copied string, done func() error, err error) {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved // the second file lies beside that
	}
	var second []string
	for _, suffix := range []string{"-wal", "-journal"} {
		if _, err := os.Lstat(path + suffix); err == nil {
			second = append(second, suffix)
		}
	}
	if len(second) == 0 {
		return path, func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "defenseclaw-check-")
	if err != nil {
		return "", nil, err
	}
	done = func() error { return os.RemoveAll(dir) }
	copied = filepath.Join(dir, filepath.Base(path))
	for _, suffix := range append([]string{""}, second...) {
		if err := copyFile(path+suffix, copied+suffix); err != nil {
			return "", nil, errors.Join(fmt.Errorf("copy %s to read it: %w", strings.TrimPrefix(path+suffix, filepath.Dir(path)+"/"), err), done())
		}
	}
	return copied, done, nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from) //nolint:gosec // in the data directory
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in a directory of our own
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
