package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/history"

	"github.com/urfave/cli/v2"
)

// exportHistory reads the history of the data directory itself, also while the sidecar runs: files are read only.
func exportHistory(c *cli.Context) error {
	if c.NArg() != 2 {
		return could(errors.New("expected two arguments after the flags: the number, or the beginning of the revision, and the directory to write to"))
	}
	ref, dir := c.Args().Get(0), c.Args().Get(1)
	s, err := resolve(c)
	if err != nil {
		return could(err)
	}
	store, err := localPast(c)
	if err != nil {
		return could(err)
	}
	r, found, err := openEntry(c, store, ref)
	if err != nil {
		return could(err)
	}
	if err := emptyOutside(dir, s.PolicyDir, s.DataDir); err != nil {
		return could(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return could(err)
	}
	if err := os.CopyFS(dir, found.FS); err != nil {
		return could(fmt.Errorf("write %s: %w", dir, err))
	}
	_, err = terminal.Fprintf(c.App.Writer, "%d, %s: written to %s\n", r.Seq, r.Revision, dir)
	return err
}

// openEntry looks an entry up and reads it. One that the running sidecar has in memory only is waited for: it is saved in the
// background, at a tenth of a processor.
func openEntry(c *cli.Context, store *history.Store, ref string) (history.Record, history.Found, error) {
	const patience, between = time.Minute, 20 * time.Millisecond
	awaited := false
	for end := time.Now().Add(patience); ; {
		r, err := store.Find(ref)
		if err != nil {
			return r, history.Found{}, err
		}
		found, err := store.Open(c.Context, r)
		if err == nil || !errors.Is(err, history.ErrSwept) || time.Now().After(end) {
			return r, found, err
		}
		if !awaited {
			running, failed := client(c)
			if failed != nil {
				return r, found, err
			}
			e, failed := running.HistoryEntry(c.Context, ref)
			if failed != nil || !e.Kept || e.Revision != r.Revision {
				return r, found, err
			}
			awaited = true
		}
		if !pause(c.Context, between) {
			return r, found, c.Err()
		}
	}
}

// emptyOutside refuses a directory that holds anything, or that is, or lies in, one of others, which serve or are the sidecar's.
func emptyOutside(dir string, others ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s holds files: name a directory that is new or empty", dir)
	}
	for _, other := range others {
		if rel, err := filepath.Rel(realPath(other), realPath(dir)); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return fmt.Errorf("%s is in %s, whose files are never written: name another directory", dir, other)
		}
	}
	return nil
}

// realPath follows the links of as much of a path as exists.
func realPath(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	rest := ""
	for at := path; ; at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest)
		}
		if at == filepath.Dir(at) {
			return path
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}
