package source

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Ignored lists files that look like policy or data and are not loaded. An author who finds no effect of an edit
// looks for the file there; the list is a hint, and need not have every such file.
type Ignored struct {
	Files []IgnoredFile // sorted by path, at most 100
	More  int           // that were seen and are not listed
}

// IgnoredFile is one of them, or a hidden folder that holds some.
type IgnoredFile struct {
	Path   string // slash path relative to the policy directory
	Reason string // why it is not loaded: a clause
}

// maxIgnored keeps the list short enough for a status and a line of the log: the first names show the mistake.
const maxIgnored = 100

// The reasons. They are compared with those of the reading before, and a file with another reason is news.
const (
	reasonBeside  = "it lies beside the folder rego, which holds the policy"
	reasonOverlay = "of all data-* files only data-sandbox.json and those named in engine.overlays replace keys of data.json"
	reasonFolder  = "a data-* file counts only at the root of the policy"
	reasonHidden  = "its name begins with a dot"
	reasonCase    = "names are in lower case: .rego, data.json, data.yaml, data.yml"
	reasonName    = "only files called data.json, data.yaml or data.yml are data"
	reasonText    = "its name ends in .txt"
)

// add names a file that somebody may think is served; past the bound it is only counted.
func (i *Ignored) add(p, reason string) {
	if len(i.Files) == maxIgnored {
		i.More++
		return
	}
	i.Files = append(i.Files, IgnoredFile{p, reason})
}

// addAll keeps the bound and the count, so that what a listing counted and did not list is counted here too.
func (i *Ignored) addAll(other Ignored) {
	// Through add, which counts what finds no room: a directory of a thousand stray files costs a hundred names, and the
	// count tells the rest. So the sum over folders is exact, whichever folder fills the list.
	for _, f := range other.Files {
		i.add(f.Path, f.Reason)
	}
	i.More += other.More
}

// Equal reports whether both lists name the same files for the same reasons.
// It decides whether the status changes though nothing that is served did.
func (i Ignored) Equal(other Ignored) bool {
	return i.More == other.More && slices.Equal(i.Files, other.Files)
}

// Beyond reports whether i names a file that earlier does not.
// It decides whether the log says so: once for each file, and not again when one of several goes.
func (i Ignored) Beyond(earlier Ignored) bool {
	return slices.ContainsFunc(i.Files, func(f IgnoredFile) bool { return !slices.Contains(earlier.Files, f) })
}

// whyIgnored is why a visible file is not loaded although its name looks like policy or data; "" for a name that
// looks like neither. Tests, saved inputs, schemas, and backups such as p.rego.bak say what they are. JSON and YAML
// of any name are listed: opa run loads them.
func whyIgnored(name string) string {
	// A file system that ignores case lets an author believe that P.rego and p.REGO are one.
	lower := strings.ToLower(name)
	text, isText := strings.CutSuffix(lower, ".txt") // which some systems add and do not show
	switch {
	case isText && kindOf(text) != KindOther:
		return reasonText
	case kindOf(lower) == KindModule, kindOf(lower) == KindData:
		return reasonCase
	case !slices.Contains([]string{".json", ".yaml", ".yml"}, path.Ext(lower)):
		return ""
	}
	// x.input.json and x.expected.json are saved inputs of "policy dev"; x.schema.json is a schema.
	stem := strings.TrimSuffix(lower, path.Ext(lower))
	if slices.Contains([]string{"input", "expected", "schema"}, strings.TrimPrefix(path.Ext("."+stem), ".")) {
		return ""
	}
	return reasonName
}

// noteHidden is about names that are skipped without a look at their kind, which is what makes them easy to miss: a file
// that a tool or an author hid for a while serves nothing, and says nothing of it.
//
// It notes a hidden file that would be loaded under a name without the dot, and a hidden folder with such
// files. Emacs' locks and the files that macOS adds are no policy, .git holds copies, and the folders of a mounted
// ConfigMap, ..data and its like, are loaded through links.
func (w *walker) noteHidden(p string, entry fs.DirEntry, l *listing) {
	name := entry.Name()
	if !w.o.note || strings.HasPrefix(name, "..") || strings.HasPrefix(name, ".#") || strings.HasPrefix(name, "._") || name == ".git" {
		return
	}
	if !entry.IsDir() {
		// What is left of the name without its dot says what it would be.
		if k := kindOf(name[1:]); k == KindModule || k == KindData {
			l.ignored.add(p, reasonHidden)
		}
		return
	}
	// The top of the folder is enough to tell, and a bounded part of it: it may be the cache of some tool.
	for _, below := range firstEntries(w.src, p, 256) {
		if kindOf(below.Name()) == KindModule && !below.IsDir() {
			l.ignored.add(p, reasonHidden)
			return
		}
	}
}

// firstEntries lists at most n entries of a directory, in no order: a folder of a million files costs no more than n.
// Errors are no entries, since the list is a hint: where it matters, the walk reports them.
func firstEntries(src fs.FS, dir string, n int) []fs.DirEntry {
	f, err := src.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // it was only read
	if d, ok := f.(fs.ReadDirFile); ok {
		entries, _ := d.ReadDir(n) // those before an error count
		return entries
	}
	return nil
}

// beside lists the policy and data beside the rego folder, which a flat policy had before someone made that folder. The
// directory may be a whole repository, so the look is bounded, and follows no links. It is taken over from the earlier
// reading where the events name no file outside the rego folder.
func beside(ctx context.Context, src fs.FS, o Options) Ignored {
	if r := o.Earlier.Reading; r != nil && o.Earlier.ChangedDirs != nil && r.root == nestedRoot && !o.Earlier.changedBeside() {
		return r.beside // so that an edit of one of thousands of modules lists no other folder
	}
	// Level by level, as the mistake is near the top: policy that was there before someone made the rego folder. These
	// bounds cost two milliseconds at most, and a reload by an event pays for them only if it is about such a file.
	const maxFolders, maxEntries = 64, 4096
	var found Ignored
	room := maxEntries
	for folders, looked := []string{"."}, 0; len(folders) > 0 && looked < maxFolders && room > 0; looked++ {
		if o.between(ctx) != nil { // the reading itself ends with the error
			break
		}
		dir := folders[0]
		entries := firstEntries(src, dir, room)
		folders, room = folders[1:], room-len(entries)
		for _, entry := range entries {
			p := path.Join(dir, entry.Name())
			switch {
			// Hidden files were never part of the policy, and what the rego folder holds was walked.
			case strings.HasPrefix(entry.Name(), "."), p == nestedRoot:
			case entry.IsDir():
				folders = append(folders, p)
			case Relevant(p):
				found.add(p, reasonBeside)
			}
		}
	}
	return found
}

// changedBeside asks Changed alone: a name that an event did not tell is found by the next reading without events.
func (e Earlier) changedBeside() bool {
	for p := range e.Changed {
		if !strings.HasPrefix(p, nestedRoot+"/") {
			return true
		}
	}
	return false
}
