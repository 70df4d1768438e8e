package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

// read calls do, and again if the file was changed meanwhile by a process that came after the file was opened.
func (o *Original) read(ctx context.Context, do func(querier) error) error {
	err := do(o.db)
	if o.still != nil {
		now, e := os.Stat(o.file)
		if e != nil || now.Size() != o.still.Size() || !now.ModTime().Equal(o.still.ModTime()) || !o.unused() {
			again, e := openOriginal(ctx, o.path, true)
			if e != nil {
				return explainAt("read", o.path, e)
			}
			err = errors.Join(do(again.db), again.Close())
		}
	}
	return explainAt("read", o.path, err)
}

// columnsOf returns the columns of a table; none if there is no such table.
func columnsOf(ctx context.Context, db querier, table string) (map[string]bool, error) {
	names, err := columnOf[string](ctx, db, "SELECT name FROM pragma_table_info(?)", table)
	found := map[string]bool{}
	for _, name := range names {
		found[name] = true
	}
	return found, err
}

// needColumns returns an error that names the first column that is missing.
func needColumns(found map[string]bool, table string, names ...string) error {
	if len(found) == 0 {
		return fmt.Errorf("%w: it has no table %s", ErrNotOriginal, table)
	}
	for _, name := range names {
		if !found[name] {
			return fmt.Errorf("%w: its table %s has no column %s", ErrNotOriginal, table, name)
		}
	}
	return nil
}
