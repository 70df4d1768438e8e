package source

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
)

// look finds the files of src that are of the wanted kinds, by name and stat alone. Files that o.Earlier
// may take come with their bytes.
func look(ctx context.Context, src fs.FS, o Options, kinds []Kind) (*Reading, error) {
	info, err := fs.Stat(src, nestedRoot)
	switch {
	case OutOfDescriptors(err): // it may be there
		return nil, noDescriptor(nestedRoot, err)
	case err == nil && info.IsDir():
		w := newWalker(ctx, src, o, nestedRoot, kinds)
		w.dir(nestedRoot, info, 0)
		// A rego folder without a .rego file is data like any other folder, so the walk begins again above it.
		if w.rego || len(w.wrong) > 0 || w.err != nil { // what cannot be listed may hold the policy
			return w.reading()
		}
	}
	w := newWalker(ctx, src, o, ".", kinds)
	if info, err := fs.Stat(src, "."); err != nil {
		w.unreadable(".", err)
	} else {
		w.dir(".", info, 0)
	}
	return w.reading()
}

// walker walks the directory once, for one call of look. It collects what is wrong with single files, and goes on;
// err is what ends the walk: the context, or a limit that was passed.
type walker struct {
	ctx    context.Context //nolint:containedctx // the walker lives for one call of look
	src    fs.FS
	o      Options
	limits Limits
	root   string
	kinds  []Kind

	rego     bool     // a .rego file was seen, tests included
	overlays []string // names of overlays; another file that is called like one is a copy, and counts for nothing

	found  []*File
	cost   int64 // of found, at least
	dirs   map[string]*listing
	linked map[*File]bool // reached through a symbolic link
	chain  []fs.FileInfo  // the directories above, to find a link that leads back to one
	inLink int            // depth of links that were followed to come here
	wrong  diagnostic.List
	err    error

	ignored    Ignored
	signatures []string // files called SignaturesName
}

// listing is what one directory held. It never changes once its reading is complete, and later readings
// take it over while the directory is unchanged.
type listing struct {
	info  fs.FileInfo // of the directory, from before it was listed
	files []*File
	dirs  []string
	rego  bool // has a .rego file, tests included
	links bool // has symbolic links: what they lead to changes without the directory

	signatures []string // files called SignaturesName

	ignored Ignored // files; only what a first look lists has them

	proven time.Time // when the stats of all files begin to prove something
	cost   int64     // of the files, as they were read
}

// setProven uses the stats of the open files, which read has set: they are the ones that the bytes belong to. It
// is called when the files have been read. A listing of an earlier reading has it already, and is
// shared, so it is left alone.
func (l *listing) setProven(fine uint64) {
	if len(l.files) == 0 || !l.proven.IsZero() || isLasting(l.info) {
		return
	}
	for _, f := range l.files {
		if from := provenFrom(f.info, fine); from.After(l.proven) {
			l.proven = from
		}
	}
}

// setCost is called with setProven. A listing that has its cost is shared with an earlier reading, and is left alone.
func (l *listing) setCost() {
	if l.cost != 0 {
		return
	}
	var cost int64
	for _, f := range l.files {
		cost += f.cost
	}
	if cost != 0 { // else the listing has no content, and may be shared
		l.cost = cost
	}
}

// newWalker makes room for the files of the earlier reading.
func newWalker(ctx context.Context, src fs.FS, o Options, root string, kinds []Kind) *walker {
	w := &walker{
		ctx: ctx, src: src, o: o, limits: o.Limits.withDefaults(), root: root, kinds: kinds,
		dirs: map[string]*listing{}, linked: map[*File]bool{}, overlays: overlaysOf(src),
	}
	if earlier := o.Earlier.Reading; earlier != nil {
		w.found = make([]*File, 0, len(earlier.files)+1) // most edits add one file or none
	}
	return w
}

// reading sorts the files: a walk lists b.rego behind what is in directory b, and by path it comes first.
func (w *walker) reading() (*Reading, error) {
	if w.err != nil {
		return nil, w.err
	}
	if len(w.wrong) > 0 {
		return nil, w.wrong.Sorted()
	}
	w.dropAliases()
	slices.SortFunc(w.found, func(a, b *File) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(w.ignored.Files, func(a, b IgnoredFile) int { return strings.Compare(a.Path, b.Path) })
	r := &Reading{
		root: w.root, files: w.found, dirs: w.dirs, ignored: w.ignored, kinds: w.kinds, overlays: w.overlays, signatures: w.signatures,
	}
	if w.o.TestsAside {
		r.setTestsAside()
	}
	return r, nil
}

// dir looks at one folder. Each asks whether the walk may go on, so that a large tree does not hold a reload up that was
// cancelled.
func (w *walker) dir(dir string, info fs.FileInfo, depth int) {
	if w.err == nil {
		w.err = w.o.between(w.ctx)
	}
	if w.err != nil {
		return
	}
	if depth > w.limits.Depth {
		w.refuse(dir, diagnostic.CodeTooDeep, fmt.Sprintf("is more than %d directories deep", w.limits.Depth))
		return
	}
	// A link to a directory above would be walked without end. The chain is compared by identity, since each
	// round has another path.
	if slices.ContainsFunc(w.chain, func(above fs.FileInfo) bool { return os.SameFile(above, info) }) {
		w.refuse(dir, diagnostic.CodeLinkRefused, errLink.Error()+": it leads to a directory that holds it")
		return
	}
	w.chain = append(w.chain, info)
	if l, lasts := w.earlier(dir, info); l != nil {
		w.reuse(dir, l, lasts, depth)
	} else {
		w.list(dir, &listing{info: info}, depth)
	}
	w.chain = w.chain[:len(w.chain)-1]
}

// reuse takes over an earlier listing of a directory, and walks into the directories in it: a change deep
// down leaves the stats of those above as they were, unless they last.
func (w *walker) reuse(dir string, l *listing, lasts bool, depth int) {
	w.dirs[dir] = l
	w.rego = w.rego || l.rego
	w.ignored.addAll(l.ignored)
	w.signatures = append(w.signatures, l.signatures...)
	if len(l.files) > 0 {
		w.spend(l.cost, l.files[0])
	}
	w.add(l.files...)
	for _, p := range l.dirs {
		if lasts {
			w.dir(p, w.o.Earlier.readingOf(l.info).dirs[p].info, depth+1)
			continue
		}
		info, err := w.o.Earlier.stat(w.src, p)
		if err != nil {
			w.unreadable(p, err)
			continue
		}
		w.dir(p, info, depth+1)
	}
}

// list reads a directory. What is in l when it returns is what a later reading may take over, so it holds what
// was found here alone, and nothing of the directories below.
func (w *walker) list(dir string, l *listing, depth int) {
	entries, err := fs.ReadDir(w.src, dir)
	if err != nil {
		w.unreadable(dir, err)
		return
	}
	for _, entry := range entries {
		if p := path.Join(dir, entry.Name()); strings.HasPrefix(entry.Name(), ".") {
			w.noteHidden(p, entry, l)
			if entry.Name() == SignaturesName {
				l.signatures = append(l.signatures, p)
			}
		} else {
			w.entry(p, entry, l, depth)
		}
	}
	w.ignored.addAll(l.ignored)
	w.signatures = append(w.signatures, l.signatures...)
	w.rego = w.rego || l.rego
	w.dirs[dir] = l
}

// entry decides by name first. Most files of a repository are no policy, and cost no stat.
func (w *walker) entry(p string, entry fs.DirEntry, l *listing, depth int) {
	k := kindOf(entry.Name())
	if entry.Type()&fs.ModeSymlink != 0 {
		l.links = true
		w.link(p, k, l, depth)
		return
	}
	if !entry.IsDir() && k == KindOther {
		w.note(p, l)
		return
	}
	info, err := entry.Info() // after ReadDir of a [Dir] this walks no path, unlike a stat by name
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

// link follows a symbolic link as far as the source lets it: what it leads to counts under the name of the link.
func (w *walker) link(p string, k Kind, l *listing, depth int) {
	info, err := fs.Stat(w.src, p)
	if err != nil {
		// A dangling link whose name is no policy file's is ignored, as the file would be.
		// One that could not be followed for want of a descriptor may lead to a folder of policies.
		if k != KindOther || errors.Is(err, errLink) || OutOfDescriptors(err) {
			w.unreadable(p, err)
		}
		return
	}
	// Everything below a link counts as linked: dropAliases prefers paths without one.
	w.inLink++
	defer func() { w.inLink-- }()
	switch {
	case info.IsDir():
		w.dir(p, info, depth+1)
	case k != KindOther:
		w.file(p, k, info, l)
	default:
		w.note(p, l)
	}
}

// note looks at names that mean nothing to the engine: an author may think that they do.
func (w *walker) note(p string, l *listing) {
	if !w.o.note {
		return
	}
	if reason := whyIgnored(path.Base(p)); reason != "" {
		l.ignored.add(p, reason)
	}
}

// file adds a file to its listing. A test file is noted in rego even where tests are not read: it is policy, so its
// folder is where the policy lies.
func (w *walker) file(p string, k Kind, info fs.FileInfo, l *listing) {
	rel := strings.TrimPrefix(p, w.root+"/")
	if k == KindOverlay && (strings.Contains(rel, "/") || !slices.Contains(w.overlays, rel)) {
		// A copy of data.json, such as data-backup.json, must not replace what was edited in it since.
		if reason := reasonOverlay; w.o.note {
			if strings.Contains(rel, "/") {
				reason = reasonFolder
			}
			l.ignored.add(p, reason)
		}
		return
	}
	l.rego = l.rego || k == KindModule || k == KindTest
	if !slices.Contains(w.kinds, k) {
		return
	}
	if !info.Mode().IsRegular() {
		w.refuse(p, diagnostic.CodeFileNotRegular, errNotRegular.Error())
		return
	}
	f := w.o.Earlier.file(p, rel, k, info)
	if f == nil {
		f = &File{Path: p, rel: rel, kind: k, info: info}
	}
	l.files = append(l.files, f)
	// One that is too large by itself is left to read, which says so of that file.
	if size := info.Size(); size <= w.limits.FileBytes {
		w.spend(max(f.cost, leastCost(k, size)), f) // of a file that was read before, the cost is known
	}
	w.add(f)
}

// add counts against the limit before it appends, so that a hostile directory costs no more memory than the limit
// allows.
func (w *walker) add(files ...*File) {
	if w.err != nil {
		return
	}
	if room := w.limits.Files - len(w.found); room < len(files) {
		w.err = diagnostic.List{{
			File: files[room].Path, Code: diagnostic.CodeTooManyFiles,
			Message: fmt.Sprintf("is one more than the limit of %d policy and data files", w.limits.Files),
		}}
		return
	}
	w.found = append(w.found, files...)
	if w.inLink > 0 {
		for _, f := range files {
			w.linked[f] = true
		}
	}
}

// spend counts what files take once they are loaded, the last of which is f. The walk of an unchanged directory counts
// its files together: thousands of them are looked at twice for each edit.
func (w *walker) spend(cost int64, f *File) {
	if w.cost += cost; w.err == nil && w.cost > w.limits.Memory {
		w.err = diagnostic.List{tooLargeTogether(f.Path, w.limits.Memory)}
	}
}

func (w *walker) refuse(p, code, message string) {
	w.wrong = append(w.wrong, diagnostic.Diagnostic{File: p, Code: code, Message: message})
}

// unreadable makes a file's error a diagnostic, and goes on. A policy directory that is gone is no file's error: it
// ends the walk.
func (w *walker) unreadable(p string, err error) {
	if OutOfDescriptors(err) {
		if w.err == nil {
			w.err = noDescriptor(p, err)
		}
		return
	}
	// Only "." can be missing for good: any other name was in a listing a moment ago.
	if p == "." && errors.Is(err, fs.ErrNotExist) {
		w.err = fmt.Errorf("policy directory: %w", err)
		return
	}
	w.wrong = append(w.wrong, unreadable(p, err))
}

// dropAliases keeps one path of a module that links give several paths, since loading a module twice makes
// its default rules conflict. The path without a link wins, as when Kubernetes mounts a ConfigMap. Data
// stays, since the path says where the data lies.
func (w *walker) dropAliases() {
	if len(w.linked) == 0 {
		return
	}
	type stat struct {
		size int64
		time time.Time
	}
	// Paths without a link come first, and each in the order of paths, so that the choice is the same on every
	// reading and machine.
	kept := map[stat][]*File{} // few files share a stat, so that few are compared by identity
	linksLast := slices.Clone(w.found)
	slices.SortStableFunc(linksLast, func(a, b *File) int {
		if w.linked[a] != w.linked[b] {
			if w.linked[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Path, b.Path)
	})
	w.found = w.found[:0]
	for _, f := range linksLast {
		s := stat{f.info.Size(), f.info.ModTime()}
		isModule := f.kind == KindModule || f.kind == KindTest
		if isModule && slices.ContainsFunc(kept[s], func(k *File) bool { return os.SameFile(k.info, f.info) }) {
			continue
		}
		kept[s] = append(kept[s], f)
		w.found = append(w.found, f)
	}
}
