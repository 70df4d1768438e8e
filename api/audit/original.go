package audit

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Original reads a database of the original gateway. It never changes the file, whatever its schema and its triggers. Its
// methods may be called concurrently, also while the original uses the file.
type Original struct {
	path string // as given, for messages
	file string // what it leads to: SQLite's second file lies beside that
	db   *sql.DB

	still os.FileInfo // what the file was when it was opened as immutable; nil otherwise
}

// OpenOriginal opens the database at path. Close it after use. Where no other process uses the file, none is made next
// to it either.
func OpenOriginal(ctx context.Context, path string) (*Original, error) {
	o, err := openOriginal(ctx, path, false)
	if err != nil {
		return nil, explainAt("read", path, err)
	}
	return o, nil
}

func openOriginal(ctx context.Context, path string, shared bool) (*Original, error) {
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	if file, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	o := &Original{path: path, file: file}
	settings := reading(time.Second)
	if !shared && o.unused() {
		// To read a database in WAL mode SQLite makes two files next to it, unless it may take it as immutable.
		settings.Set("immutable", "1")
		o.still = info
	}
	if o.db, err = openDB(file, settings); err != nil {
		return nil, err
	}
	if _, err := columnOf[int](ctx, o.db, "SELECT 1 FROM sqlite_schema LIMIT 1"); err != nil {
		return nil, errors.Join(err, o.db.Close())
	}
	return o, nil
}

// unused reports whether no process has the database open in WAL mode, and none ended in the middle of a write.
func (o *Original) unused() bool {
	for _, suffix := range []string{"-wal", "-journal"} {
		if _, err := os.Lstat(o.file + suffix); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// Close closes the database.
func (o *Original) Close() error { return o.db.Close() }
