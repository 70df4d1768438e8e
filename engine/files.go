package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/turns"
)

// ErrNoPolicy is wrapped by a refusal of a source that holds no .rego file.
var ErrNoPolicy = errors.New("no .rego files found")

// errUnsettled is wrapped when the source kept changing while it was read.
var errUnsettled = errors.New("the directory kept changing while it was read")

// Limits bound what one attempt may read. A zero field means its default.
type Limits struct {
	FileBytes int64 // the largest file; default 512 MiB
	Files     int   // how many policy and data files; default 100,000
	Depth     int   // how many directories deep; default 64
}

func (l Limits) withDefaults() Limits {
	if l.FileBytes == 0 {
		l.FileBytes = 512 << 20
	}
	if l.Files == 0 {
		l.Files = 100_000
	}
	if l.Depth == 0 {
		l.Depth = 64
	}
	return l
}

type kind int

const (
	kindOther kind = iota
	kindModule
	kindTest
	kindData
	kindOverlay // data-*.json at the root
)

// kindOf decides by name alone what a file is; the one place that knows.
func kindOf(name string) kind {
	if strings.HasPrefix(name, ".") {
		return kindOther
	}
	if strings.HasSuffix(name, "_test.rego") {
		return kindTest
	}
	switch ext := path.Ext(name); ext {
	case ".rego":
		return kindModule
	case ".json", ".yaml", ".yml":
		switch stem := strings.TrimSuffix(name, ext); {
		case stem == "data":
			return kindData
		case strings.HasPrefix(stem, "data-"):
			return kindOverlay
		}
	}
	return kindOther
}

// Relevant reports whether a change of the file at the slash path rel, relative to the policy
// directory, can change what is served. It looks at names only: hidden files, editors' temporary
// and backup files and tests are not relevant. [Load] reads exactly the files that are.
func Relevant(rel string) bool {
	dir, name := path.Split(rel)
	for part := range strings.SplitSeq(dir, "/") {
		if strings.HasPrefix(part, ".") {
			return false
		}
	}
	switch kindOf(name) {
	case kindModule, kindData:
		return true
	case kindOverlay:
		return dir == "" || dir == nestedRoot+"/"
	default:
		return false
	}
}

// File is one policy or data file as it was read.
type File struct {
	Path  string // slash path relative to the policy directory
	Bytes []byte // not to be changed

	rel  string // relative to the directory that holds the policy: the policy directory or its rego folder
	kind kind
	hash [sha256.Size]byte
	info fs.FileInfo
}

func (f *File) path() string { return f.Path }

// files is one consistent reading of a source.
type files struct {
	root     string // "." or "rego": where in the policy directory the policy lies
	list     []*File
	dirs     map[string]*listing // those that list was made from
	revision func() string       // of all paths and bytes; the first call makes it
	begun    time.Time           // before the first file was looked at
}

// nestedRoot is the folder of a policy directory that holds the policy when it has any .rego file.
const nestedRoot = "rego"

// readFiles reads every relevant file of src, again from the start when something moved meanwhile,
// so that the result is what the directory held at one moment. A *Refused lists every file that
// could not be read. What known vouches for is not read.
func readFiles(ctx context.Context, src fs.FS, limits Limits, known trusted, kinds ...kind) (*files, error) {
	const tries = 5
	var last error
	for try := range tries {
		first := known
		first.unseen = try == 0 && len(known.notDirs) > 0 // the look after it sees what it misses
		f, err := readOnce(ctx, src, limits, first, kinds)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			if again, err := list(ctx, src, limits, known, kinds); err == nil && again.sameAs(f) {
				return f, nil
			}
			// What was read just now need not be once more: the next try is as short as what moves meanwhile.
			known = trusted{files: f, was: known.was, notDirs: known.notDirs}
		} else if last != nil && last.Error() == err.Error() {
			return nil, err // not a file caught between two states: the directory is like this
		}
		last = err
	}
	return nil, &Refused{Stage: StageRead, Err: errUnsettled}
}

func (f *files) sameAs(g *files) bool {
	return f.root == g.root && slices.EqualFunc(f.list, g.list, func(a, b *File) bool {
		return a == b || a.Path == b.Path && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime()) &&
			(os.SameFile(a.info, b.info) || !isOS(a.info))
	})
}

// isOS reports whether info can be compared by os.SameFile at all; embedded and in-memory files cannot.
func isOS(info fs.FileInfo) bool { return os.SameFile(info, info) }

func readOnce(ctx context.Context, src fs.FS, limits Limits, known trusted, kinds []kind) (*files, error) {
	begun := time.Now()
	f, err := list(ctx, src, limits, known, kinds)
	if err != nil {
		return nil, err
	}
	f.begun = begun
	var wrong diagnostic.List
	for _, file := range f.list {
		if file.Bytes != nil {
			continue // it did not change
		}
		if err := turns.Next(ctx); err != nil {
			return nil, err
		}
		if err := file.read(src, limits.FileBytes); err != nil {
			wrong = append(wrong, fileDiagnostic(file.Path, err))
			continue
		}
		if !known.share(file) {
			file.hash = sha256.Sum256(file.Bytes)
		}
	}
	if len(wrong) > 0 {
		return nil, &Refused{Stage: StageRead, Diagnostics: wrong.Sorted()}
	}
	for _, l := range f.dirs {
		l.noteNewest()
	}
	f.revision = sync.OnceValue(f.hashAll)
	return f, nil
}

func (f *File) read(src fs.FS, most int64) error {
	in, err := src.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // nothing was written
	before, err := in.Stat()
	if err != nil {
		return err
	}
	if !before.Mode().IsRegular() {
		return errNotRegular
	}
	if before.Size() > most {
		return &tooLargeError{size: before.Size(), most: most}
	}
	buf := make([]byte, 0, before.Size()+1)
	f.Bytes, err = readAll(in, buf, most)
	if err != nil {
		return err
	}
	f.info = before
	return nil
}

// readAll fills buf first, so that a file of known size costs one allocation.
func readAll(in io.Reader, buf []byte, most int64) ([]byte, error) {
	for {
		n, err := in.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > most {
			return nil, &tooLargeError{size: int64(len(buf)), most: most}
		}
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, len(buf))
		}
	}
}

// hashAll hashes paths and bytes, so that the same bytes give the same revision on every machine.
func (f *files) hashAll() string {
	h := sha256.New()
	var line []byte
	for _, file := range f.list {
		line = strconv.AppendInt(line[:0], int64(len(file.rel)), 10)
		line = append(append(append(line, ':'), file.rel...), '\n')
		line = append(hex.AppendEncode(line, file.hash[:]), '\n')
		h.Write(line) // a hash takes everything
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// find returns the file at a path relative to the policy directory, or nil.
func (f *files) find(p string) *File {
	i, ok := slices.BinarySearchFunc(f.list, p, func(file *File, p string) int { return strings.Compare(file.Path, p) })
	if !ok {
		return nil
	}
	return f.list[i]
}

// holdsThatOf reports whether both hold the same bytes by the same path within the policy.
func (f *File) holdsThatOf(g *File) bool { return f == g || f.rel == g.rel && f.hash == g.hash }

// holdsThatOf reports whether both hold the same bytes by the same paths, as their revisions would tell.
func (f *files) holdsThatOf(g *files) bool {
	return slices.EqualFunc(f.list, g.list, (*File).holdsThatOf)
}

// source returns the bytes of a file, nil when there is no such file.
func (f *files) source(p string) []byte {
	if file := f.find(p); file != nil {
		return file.Bytes
	}
	return nil
}

// changedSince lists the paths that were added, altered or removed since previous, sorted.
func (f *files) changedSince(previous *files) []string {
	var changed []string
	eachPair(previous.list, f.list, func(old, now *File) {
		switch {
		case old == now:
		case now == nil:
			changed = append(changed, old.Path)
		case old == nil || old.hash != now.hash:
			changed = append(changed, now.Path)
		}
	})
	return changed
}

// eachPair calls do for each path of two lists that are in file order, with nil in place of what one
// of them does not have.
func eachPair[T interface {
	comparable
	path() string
}](before, after []T, do func(before, after T)) {
	var none T
	for len(before) > 0 && len(after) > 0 {
		order := 0
		if before[0] != after[0] {
			order = strings.Compare(before[0].path(), after[0].path())
		}
		switch {
		case order == 0:
			do(before[0], after[0])
			before, after = before[1:], after[1:]
		case order < 0:
			do(before[0], none)
			before = before[1:]
		default:
			do(none, after[0])
			after = after[1:]
		}
	}
	for _, one := range before {
		do(one, none)
	}
	for _, one := range after {
		do(none, one)
	}
}

var errNotRegular = errors.New("is not a regular file")

type tooLargeError struct{ size, most int64 }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("is %d bytes; the limit is %d", e.size, e.most)
}

// fileDiagnostic says what is wrong with a file that could not be read, without the absolute path
// that errors of the os package carry.
func fileDiagnostic(p string, err error) diagnostic.Diagnostic {
	d := diagnostic.Diagnostic{File: p, Code: diagnostic.CodeFileUnreadable}
	cause := err
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		cause = pathErr.Err
	}
	d.Message = "cannot be read: " + cause.Error()
	var large *tooLargeError
	switch {
	case errors.Is(err, errNotRegular):
		d.Code, d.Message = diagnostic.CodeFileNotRegular, cause.Error()
	case errors.As(err, &large):
		d.Code, d.Message = diagnostic.CodeFileTooLarge, cause.Error()
	case errors.Is(err, errLink):
		d.Code, d.Message = diagnostic.CodeLinkRefused, cause.Error()
	}
	return d
}

// HasPolicy reports whether src holds any .rego file that [Load] would read, broken ones included,
// or something that cannot be listed and so may hold one.
func HasPolicy(ctx context.Context, src fs.FS) bool {
	f, err := list(ctx, src, Limits{}.withDefaults(), trusted{}, []kind{kindModule})
	return err != nil || len(f.list) > 0
}
