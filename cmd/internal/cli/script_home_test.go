package cli

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/cmd/internal/testutil/originalhome"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"
)

// scriptOriginalHome is the command original-home [-killed] [-flat] DIR: it makes a data directory as the original
// gateway leaves it.
func scriptOriginalHome(ts *testscript.TestScript, neg bool, args []string) {
	var o originalhome.Options
	for len(args) > 1 {
		switch args[0] {
		case "-killed":
			o.Killed = true
		case "-flat":
			o.Flat = true
		default:
			ts.Fatalf("original-home: unknown %s", args[0])
		}
		args = args[1:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: original-home [-killed] [-flat] DIR")
	}
	ts.Check(originalhome.Make(ts.MkAbs(args[0]), o))
}

// scriptFingerprint is the command fingerprint [-of EARLIER] DIR FILE: it writes the mode, the hash and the path of
// every file of DIR to FILE; with -of, only of those that an earlier fingerprint has, and says which are missing.
func scriptFingerprint(ts *testscript.TestScript, neg bool, args []string) {
	var only map[string]bool
	if len(args) == 4 && args[0] == "-of" {
		only = map[string]bool{}
		for line := range strings.Lines(ts.ReadFile(args[1])) {
			only[strings.Fields(line)[2]] = true
		}
		args = args[2:]
	}
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fingerprint [-of EARLIER] DIR FILE")
	}
	dir := ts.MkAbs(args[0])
	var b strings.Builder
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(dir, path)
		if err = errors.Join(err, relErr); err != nil || only != nil && !only[name] {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		hash := "-"
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			hash = fmt.Sprintf("%x", sha256.Sum256(text))
		}
		fmt.Fprintf(&b, "%s %s %s\n", info.Mode(), hash, name)
		return nil
	}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(b.String()), 0o600))
}

// scriptSQLite is the command sqlite FILE STATEMENT: it runs a statement, as another program that uses the database
// does, and prints the rows with a | between the columns.
func scriptSQLite(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: sqlite FILE STATEMENT")
	}
	text, err := queried(ts.MkAbs(args[0]), args[1])
	if failed := err != nil; failed != neg {
		ts.Fatalf("sqlite %s %q: %v", args[0], args[1], err)
	}
	_, _ = ts.Stdout().Write([]byte(text))
}

func queried(path, statement string) (_ string, err error) {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.Query(statement)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		for i, v := range values {
			if i > 0 {
				b.WriteByte('|')
			}
			b.WriteString(v.String)
		}
		b.WriteByte('\n')
	}
	return b.String(), rows.Err()
}
