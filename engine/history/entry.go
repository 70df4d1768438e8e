package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"
)

// ErrDamaged is wrapped if an entry's content is not what was once written. Reading it again
// cannot help.
var ErrDamaged = errors.New("damaged")

// Entry is one kept generation, by its file.
type Entry struct {
	Name string    // of its file; names sort by age
	Path string    // of its file, for opening it; `opa eval -b` takes it
	Time time.Time // when the generation began to serve, or a little later than the entry before

	short  string // the beginning of its revision
	limits limits
}

// Info is what an entry's manifest says of the generation that was kept.
type Info struct {
	Revision   string    // as [engine.Generation.Revision]
	Generation uint64    // its number in the process that kept it
	LoadedAt   time.Time // when it began to serve, in UTC; zero when it never did
	Version    string    // of the program that kept it
	Root       string    // as [engine.Generation.Root]

	Seq     uint64 // its number in the history; zero in entries of earlier versions
	Trigger string // what asked for it
	Actor   string // who changed it, the best that is known

	Verified engine.Verified // who signed the files, as was found when they were loaded; zero: nobody asked
}

const (
	stampLayout = "20060102T150405.000000Z" // has the length of what it formats
	shortDigits = 12
	extension   = ".tar.gz"
)

// shortOf is the part of a revision that names carry.
func shortOf(revision string) string {
	_, digits, _ := strings.Cut(revision, ":")
	return digits[:min(len(digits), shortDigits)]
}

// nameFor makes the Entry, without its path, of a generation that began to serve at t.
func nameFor(t time.Time, revision string) Entry {
	t = t.UTC().Truncate(time.Microsecond)
	short := shortOf(revision)
	return Entry{Name: t.Format(stampLayout) + "-" + short + extension, Time: t, short: short}
}

func parseName(name string) (Entry, bool) {
	rest, ok := strings.CutSuffix(name, extension)
	if !ok || len(rest) != len(stampLayout)+1+shortDigits || rest[len(stampLayout)] != '-' {
		return Entry{}, false
	}
	t, err := time.Parse(stampLayout, rest[:len(stampLayout)])
	short := rest[len(stampLayout)+1:]
	if err != nil || t.Format(stampLayout) != rest[:len(stampLayout)] || strings.Trim(short, "0123456789abcdef") != "" {
		return Entry{}, false
	}
	return Entry{Name: name, Time: t, short: short}, true
}

// mayHold reports whether the entry is named for a revision.
func (e Entry) mayHold(revision string) bool { return shortOf(revision) == e.short }

// Info reads the entry's manifest, and no further: only [Entry.FS] finds out whether the rest is sound.
func (e Entry) Info() (Info, error) {
	in, err := e.open()
	if err != nil {
		return Info{}, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	return peek(in, e.limits)
}

// FS returns the entry's files, read into memory and verified, under the paths they had in the policy
// directory: [engine.Load] makes a generation of the same revision from it. It is an
// [engine.VerifiedSource]. The error wraps [ErrDamaged] if the content is wrong.
func (e Entry) FS(ctx context.Context) (fs.FS, error) {
	u, err := e.read(ctx, withBytes, nil)
	if err != nil {
		return nil, err
	}
	return u.tree(), nil
}

// tree is the files where they were in the policy directory.
func (u *unpacked) tree() fs.FS {
	return kept(u.info.Verified, func(yield func(string, []byte) bool) {
		for _, f := range u.files {
			if !yield(path.Join(u.info.Root, f.rel), f.bytes) {
				return
			}
		}
	})
}

// treeOf is the same of a generation in memory.
func treeOf(g *engine.Generation) fs.FS {
	return kept(g.Verified(), func(yield func(string, []byte) bool) {
		for _, f := range g.Files() {
			if !yield(f.Path, f.Bytes) {
				return
			}
		}
	})
}

// keptTree is files that were kept, with what was known when they were loaded.
type keptTree struct {
	fs.FS
	verified engine.Verified
}

func kept(verified engine.Verified, files iter.Seq2[string, []byte]) fs.FS {
	return keptTree{memfs.New(files), verified}
}

// Verified makes it an [engine.VerifiedSource].
func (t keptTree) Verified() engine.Verified { return t.verified }

// Overlays makes it a [source.Overlaid], as the tree is.
func (t keptTree) Overlays() []string {
	if tree, ok := t.FS.(source.Overlaid); ok {
		return tree.Overlays()
	}
	return nil
}

func (e Entry) read(ctx context.Context, how depth, p *pace) (*unpacked, error) {
	in, err := e.open()
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	u, err := unpack(ctx, bufio.NewReaderSize(&pacedReader{ctx, p, in}, readBytes), e.limits, how)
	if err != nil {
		return nil, err
	}
	if !e.mayHold(u.info.Revision) {
		return nil, fmt.Errorf("%w: it holds revision %s, and is named for %s", ErrDamaged, u.info.Revision, e.short)
	}
	return u, nil
}

func (e Entry) open() (*os.File, error) { return openRegular(e.Path) }

// openRegular follows no link and does not block, also if something else, such as a pipe, has the name.
func openRegular(path string) (*os.File, error) {
	named, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !named.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is not a regular file", ErrDamaged)
	}
	in, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the store's own
	if err != nil {
		return nil, err
	}
	if opened, err := in.Stat(); err != nil || !os.SameFile(named, opened) {
		in.Close() //nolint:errcheck,gosec // it was only read
		return nil, errors.Join(fmt.Errorf("%s was replaced while it was opened", path), err)
	}
	return in, nil
}

// remove spares a directory: no Save can have made it.
func (e Entry) remove() error {
	info, err := os.Lstat(e.Path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return nil
	}
	return os.Remove(e.Path)
}
