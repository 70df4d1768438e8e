package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/turns"
)

// list finds the files of src that are of the wanted kinds, by name and stat alone, sorted by path.
// What known vouches for is taken from there, with what was read of it.
func list(ctx context.Context, src fs.FS, limits Limits, known trusted, kinds []kind) (*files, error) {
	if info, err := fs.Stat(src, nestedRoot); err == nil && info.IsDir() {
		w := newWalker(ctx, src, limits, known, nestedRoot, kinds)
		w.dir(nestedRoot, info, 0)
		if w.rego || len(w.wrong) > 0 {
			return w.files()
		}
	}
	w := newWalker(ctx, src, limits, known, ".", kinds)
	if info, err := fs.Stat(src, "."); err != nil {
		w.unreadable(".", err)
	} else {
		w.dir(".", info, 0)
	}
	return w.files()
}

type walker struct {
	ctx    context.Context //nolint:containedctx // the walker lives for one call of list
	src    fs.FS
	limits Limits
	known  trusted
	root   string
	kinds  []kind

	rego   bool // a .rego file was seen, tests included
	found  []*File
	dirs   map[string]*listing
	linked map[*File]bool // reached through a symbolic link
	chain  []fs.FileInfo  // the directories above, to see a link that leads back to one
	inLink int            // how many links were followed to come here
	wrong  diagnostic.List
	err    error
}

// listing is what one directory was found to hold.
type listing struct {
	info  fs.FileInfo // of the directory, from before it was listed
	files []*File
	dirs  []string
	rego  bool // has a .rego file, tests included
	links bool // has symbolic links, which lead to what changes without it

	newest time.Time // when the last of the files changed
}

// noteNewest is for when the files have been read. It leaves a listing alone that an earlier reading has made.
func (l *listing) noteNewest() {
	if len(l.files) == 0 || !l.newest.IsZero() {
		return
	}
	for _, f := range l.files {
		for _, t := range []time.Time{f.info.ModTime(), changeTime(f.info)} {
			if t.After(l.newest) {
				l.newest = t
			}
		}
	}
}

func newWalker(ctx context.Context, src fs.FS, limits Limits, known trusted, root string, kinds []kind) *walker {
	w := &walker{
		ctx: ctx, src: src, limits: limits, known: known, root: root, kinds: kinds,
		dirs: map[string]*listing{}, linked: map[*File]bool{},
	}
	if known.files != nil {
		w.found = make([]*File, 0, len(known.files.list)+1) // one more is the most common change of their number
	}
	return w
}

func (w *walker) files() (*files, error) {
	if w.err != nil {
		return nil, w.err
	}
	if len(w.wrong) > 0 {
		return nil, &Refused{Stage: StageRead, Diagnostics: w.wrong.Sorted()}
	}
	w.dropAliases()
	slices.SortFunc(w.found, func(a, b *File) int { return strings.Compare(a.Path, b.Path) })
	return &files{root: w.root, list: w.found, dirs: w.dirs}, nil
}

func (w *walker) dir(dir string, info fs.FileInfo, depth int) {
	if w.err == nil {
		w.err = turns.Next(w.ctx)
	}
	if w.err != nil {
		return
	}
	if depth > w.limits.Depth {
		w.refuse(dir, diagnostic.CodeTooDeep, fmt.Sprintf("is more than %d directories deep", w.limits.Depth))
		return
	}
	if slices.ContainsFunc(w.chain, func(above fs.FileInfo) bool { return os.SameFile(above, info) }) {
		w.refuse(dir, diagnostic.CodeLinkRefused, errLink.Error()+": it leads to a directory that holds it")
		return
	}
	w.chain = append(w.chain, info)
	if l := w.known.listing(dir, info); l != nil && w.inLink == 0 {
		w.again(dir, l, depth)
	} else {
		w.entries(dir, &listing{info: info}, depth)
	}
	w.chain = w.chain[:len(w.chain)-1]
}

// again takes over what a directory was found to hold before, and looks into those inside of it.
func (w *walker) again(dir string, l *listing, depth int) {
	w.dirs[dir] = l
	w.rego = w.rego || l.rego
	w.add(l.files...)
	for _, p := range l.dirs {
		info, err := w.known.stat(w.src, p)
		if err != nil {
			w.unreadable(p, err)
			continue
		}
		w.dir(p, info, depth+1)
	}
}

func (w *walker) entries(dir string, l *listing, depth int) {
	entries, err := fs.ReadDir(w.src, dir)
	if err != nil {
		w.unreadable(dir, err)
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			w.entry(path.Join(dir, entry.Name()), entry, l, depth)
		}
	}
	w.rego = w.rego || l.rego
	w.dirs[dir] = l
}

func (w *walker) entry(p string, entry fs.DirEntry, l *listing, depth int) {
	k := kindOf(entry.Name())
	if entry.Type()&fs.ModeSymlink != 0 {
		l.links = true
		w.link(p, k, l, depth)
		return
	}
	if !entry.IsDir() && k == kindOther {
		return
	}
	info, err := entry.Info() // costs nothing after ReadDir of a [Dir], unlike a walk along the path
	switch {
	case err != nil:
		w.unreadable(p, err)
	case entry.IsDir():
		l.dirs = append(l.dirs, p)
		w.dir(p, info, depth+1)
	default:
		w.file(p, k, info, l)
	}
}

func (w *walker) link(p string, k kind, l *listing, depth int) {
	info, err := fs.Stat(w.src, p)
	if err != nil {
		// A dangling link that is named like nothing of ours is nobody's policy.
		if k != kindOther || errors.Is(err, errLink) {
			w.unreadable(p, err)
		}
		return
	}
	w.inLink++
	defer func() { w.inLink-- }()
	switch {
	case info.IsDir():
		w.dir(p, info, depth+1)
	case k != kindOther:
		w.file(p, k, info, l)
	}
}

func (w *walker) file(p string, k kind, info fs.FileInfo, l *listing) {
	rel := strings.TrimPrefix(p, w.root+"/")
	if k == kindOverlay && strings.Contains(rel, "/") {
		return
	}
	l.rego = l.rego || k == kindModule || k == kindTest
	if !slices.Contains(w.kinds, k) {
		return
	}
	if !info.Mode().IsRegular() {
		w.refuse(p, diagnostic.CodeFileNotRegular, errNotRegular.Error())
		return
	}
	f := w.known.file(p, rel, k, info)
	if f == nil {
		f = &File{Path: p, rel: rel, kind: k, info: info}
	}
	l.files = append(l.files, f)
	w.add(f)
}

func (w *walker) add(files ...*File) {
	if w.err != nil {
		return
	}
	if room := w.limits.Files - len(w.found); room < len(files) {
		w.err = &Refused{Stage: StageRead, Diagnostics: diagnostic.List{{
			File: files[room].Path, Code: diagnostic.CodeTooManyFiles, Message: fmt.Sprintf("is one more than the limit of %d policy and data files", w.limits.Files),
		}}}
		return
	}
	w.found = append(w.found, files...)
	if w.inLink > 0 {
		for _, f := range files {
			w.linked[f] = true
		}
	}
}

func (w *walker) refuse(p, code, message string) {
	w.wrong = append(w.wrong, diagnostic.Diagnostic{File: p, Code: code, Message: message})
}

func (w *walker) unreadable(p string, err error) {
	if p == "." && errors.Is(err, fs.ErrNotExist) {
		w.err = &Refused{Stage: StageRead, Err: fmt.Errorf("policy directory: %w", err)}
		return
	}
	w.wrong = append(w.wrong, fileDiagnostic(p, err))
}

// dropAliases keeps one name of a module that links give several, since loading a module twice
// makes its default rules conflict. Data stays: its place is its path.
func (w *walker) dropAliases() {
	if len(w.linked) == 0 {
		return
	}
	type stat struct {
		size int64
		time time.Time
	}
	kept := map[stat][]*File{}
	byLinkLast := slices.Clone(w.found)
	slices.SortStableFunc(byLinkLast, func(a, b *File) int {
		if w.linked[a] != w.linked[b] {
			if w.linked[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Path, b.Path)
	})
	w.found = w.found[:0]
	for _, f := range byLinkLast {
		s := stat{f.info.Size(), f.info.ModTime()}
		isModule := f.kind == kindModule || f.kind == kindTest
		if isModule && slices.ContainsFunc(kept[s], func(k *File) bool { return os.SameFile(k.info, f.info) }) {
			continue
		}
		kept[s] = append(kept[s], f)
		w.found = append(w.found, f)
	}
}
