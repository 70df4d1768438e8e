package source

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what a file means to the engine.
type Kind int

// The kinds.
const (
	KindOther   Kind = iota // ignored
	KindModule              // *.rego
	KindTest                // *_test.rego
	KindData                // data.json, data.yaml, data.yml
	KindOverlay             // data-*.json, .yaml, .yml at the root, if it is data-sandbox.json or named as an overlay
)

// nestedRoot is the folder of a policy directory that holds the policy when it has any .rego file. A repository
// often holds more than policy; then the folder is the policy, and what lies beside it is not read.
const nestedRoot = "rego"

// kindOf decides by name alone, so that the watcher can ask about files that are gone. Editors' temporary and
// backup files fall out by their names: .p.rego.swp is hidden, p.rego~ and #p.rego# end in no known way.
func kindOf(name string) Kind {
	if strings.HasPrefix(name, ".") {
		return KindOther
	}
	if strings.HasSuffix(name, "_test.rego") {
		return KindTest
	}
	switch ext := path.Ext(name); ext {
	case ".rego":
		return KindModule
	case ".json", ".yaml", ".yml":
		switch stem := strings.TrimSuffix(name, ext); {
		case stem == "data":
			return KindData
		case strings.HasPrefix(stem, "data-"):
			return KindOverlay
		}
	}
	return KindOther
}

// sandboxOverlay is the overlay that needs no naming: DefenseClaw's own tools write it.
const sandboxOverlay = "data-sandbox.json"

// Overlaid is a source with more overlays than data-sandbox.json.
type Overlaid interface {
	fs.FS
	Overlays() []string // their names; see [IsOverlayName]
}

// IsOverlayName reports whether a file of that name can be an overlay: data-*.json, .yaml or .yml.
func IsOverlayName(name string) bool {
	return kindOf(name) == KindOverlay && !strings.Contains(name, "/")
}

// overlaysOf are the names of the overlays of a source, in the order in which they replace keys.
func overlaysOf(src fs.FS) []string {
	// A source in memory or in an archive knows its names as well as a directory does, so it is asked, and not the options:
	// an archive that is loaded later gives the same policy.
	names := []string{sandboxOverlay}
	if o, ok := src.(Overlaid); ok {
		names = append(names, o.Overlays()...)
	}
	return names
}

// Relevant reports whether a change of the file at the slash path rel, relative to the policy directory,
// can change what is served, or which files are ignored. It looks at names only: hidden files, editors' temporary and backup files,
// and tests are not relevant. [Read] reads exactly the files that are, but for data-* files that are no overlays.
func Relevant(rel string) bool {
	dir, name := path.Split(rel)
	for part := range strings.SplitSeq(dir, "/") {
		if strings.HasPrefix(part, ".") {
			return false
		}
	}
	switch kindOf(name) {
	case KindModule, KindData:
		return true
	case KindOverlay:
		return dir == "" || dir == nestedRoot+"/"
	default:
		return false
	}
}

// RelevantToTests is [Relevant] for an engine that holds test files too. A test file is relevant where a module
// of its name without the suffix would be.
func RelevantToTests(rel string) bool {
	if Relevant(rel) {
		return true
	}
	stem, isTest := strings.CutSuffix(rel, "_test.rego")
	return isTest && Relevant(stem+".rego")
}

// Limits bound what one reading may take in. A zero field means its default.
type Limits struct {
	FileBytes int64 // the largest file; default 512 MiB
	Memory    int64 // what all files together take once they are loaded, roughly; default 4 GiB
	Files     int   // number of policy and data files; default 100,000
	Depth     int   // levels of directories; default 64
}

func (l Limits) withDefaults() Limits {
	if l.FileBytes == 0 {
		l.FileBytes = 512 << 20
	}
	if l.Memory == 0 {
		l.Memory = 4 << 30
	}
	if l.Files == 0 {
		l.Files = 100_000
	}
	if l.Depth == 0 {
		l.Depth = 64
	}
	return l
}

// File is one policy or data file as it was read. It never changes, and a later [Reading] holds the same
// *File while the file is unchanged: identity means equality, though not the other way round.
type File struct {
	Path  string // slash path relative to the policy directory
	Bytes []byte // not to be changed

	rel  string // relative to the directory that holds the policy: the policy directory or its rego folder
	kind Kind
	hash [sha256.Size]byte
	info fs.FileInfo
	cost int64 // what the content takes once it is loaded, in bytes; 0: not read yet
}

// Kind is what the file means to the engine.
func (f *File) Kind() Kind { return f.kind }

// Rel is the slash path relative to the folder that holds the policy: see [Reading.Root].
func (f *File) Rel() string { return f.rel }

// SameContent reports whether f and other are at the same path within the policy and hold the same bytes.
func (f *File) SameContent(other *File) bool {
	return f == other || f.rel == other.rel && f.hash == other.hash
}

// Reading is the policy and data files of a directory at one moment. It never changes. The zero value
// holds nothing.
type Reading struct {
	root     string
	files    []*File
	dirs     map[string]*listing // the directories that files was made from
	revision func() string       // computed by the first call
	begun    time.Time           // before the first file was looked at
	fine     uint64              // see [Ticking]
	ignored  Ignored             // within the policy
	beside   Ignored             // outside its rego folder

	kinds      []Kind   // that were read
	tests      []*File  // by path, if they were read aside
	overlays   []string // names of overlays
	signatures []string // files called SignaturesName
}

// Ignored are the files that look like policy or data and are not loaded. Two readings of the same policy may have
// different ones.
func (r *Reading) Ignored() Ignored {
	all := r.beside
	// The list of r is shared with later readings, so it is copied before more is added.
	all.Files = slices.Clone(all.Files)
	all.addAll(r.ignored)
	slices.SortFunc(all.Files, func(a, b IgnoredFile) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// Root is the folder of the policy directory that holds the policy: "." or "rego".
func (r *Reading) Root() string { return r.root }

// Files are sorted by path. Not to be changed.
func (r *Reading) Files() []*File { return r.files }

// Revision is "sha256:" and a hash of all paths, relative to [Reading.Root], and bytes. The first call
// computes it; later and concurrent ones wait for that.
func (r *Reading) Revision() string { return r.revision() }

// Source returns the bytes of the file at a path relative to the policy directory, nil when there is none.
func (r *Reading) Source(p string) []byte {
	if file := r.Find(p); file != nil {
		return file.Bytes
	}
	return nil
}

// Find returns the file at a path of the directory, nil when there is none. It relies on the order of files, by path.
func (r *Reading) Find(p string) *File {
	return find(r.files, p)
}

// find is the file at a path; nil if there is none. The files are sorted by path.
func find(files []*File, p string) *File {
	i, ok := slices.BinarySearchFunc(files, p, func(file *File, p string) int { return strings.Compare(file.Path, p) })
	if !ok {
		return nil
	}
	return files[i]
}

// SameContent reports whether both readings have the same revision, without computing one.
func (r *Reading) SameContent(other *Reading) bool {
	return slices.EqualFunc(r.files, other.files, (*File).SameContent)
}

// ChangedSince lists the paths that were added, altered or removed since previous, sorted. previous may be
// nil: then these are all paths.
func (r *Reading) ChangedSince(previous *Reading) Changed {
	var before []*File
	if previous != nil {
		before = previous.files
	}
	var c Changed
	EachPair(before, r.files, (*File).path, func(old, now *File) {
		switch {
		case old == now:
		case now == nil:
			c.All, c.Removed = append(c.All, old.Path), append(c.Removed, old.Path)
		case old == nil:
			c.All, c.Added = append(c.All, now.Path), append(c.Added, now.Path)
		case old.hash != now.hash:
			c.All = append(c.All, now.Path)
		}
	})
	return c
}

// Changed are paths of files that differ between two readings, each list sorted. What neither Added nor Removed has was altered.
// Not to be changed.
type Changed struct {
	All, Added, Removed []string
}

// Missing lists the files of previous that are not in r, sorted by path. Their place within the policy counts, so that a
// policy that moves to the rego folder misses none. Nor does a module count whose bytes another file has now:
// it moved, and its rules are served. The same data at another place is other data.
func (r *Reading) Missing(previous *Reading) []*File {
	var missing, added []*File
	EachPair(previous.files, r.files, (*File).Rel, func(old, now *File) {
		switch {
		case now == nil:
			missing = append(missing, old)
		case old == nil:
			added = append(added, now)
		}
	})
	// Nearly every edit ends here. The bytes are compared only where some file came for one that went.
	if len(missing) == 0 || len(added) == 0 {
		return missing
	}
	// By hash: a folder that is renamed has many of both. A test that holds the rules does not serve them.
	moved := make(map[[sha256.Size]byte]bool, len(added))
	for _, f := range added {
		moved[f.hash] = moved[f.hash] || f.kind == KindModule
	}
	return slices.DeleteFunc(missing, func(f *File) bool { return f.kind == KindModule && moved[f.hash] })
}

func (f *File) path() string { return f.Path }

// EachPair calls do for each path in two lists that are sorted by path, with the zero value for the list
// that lacks it. Equal elements are paired without a call of path.
func EachPair[T comparable](before, after []T, path func(T) string, do func(before, after T)) {
	var none T
	for len(before) > 0 && len(after) > 0 {
		order := 0
		if before[0] != after[0] {
			order = strings.Compare(path(before[0]), path(after[0]))
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

// hashAll hashes paths relative to the root, so that a policy in DIR and in DIR/rego has one revision (invariant
// 6). The files' own hashes are at hand, so a revision after an edit does not read the other files' bytes again.
func (r *Reading) hashAll() string {
	return RevisionOf(func(yield func(string, [sha256.Size]byte) bool) {
		for _, file := range r.files {
			if !yield(file.rel, file.hash) {
				return
			}
		}
	})
}

// RevisionOf is the revision of files, sorted by their path relative to the root of the policy, with the SHA-256 of their
// bytes. The length before each path keeps two lists of names from being one text.
func RevisionOf(files iter.Seq2[string, [sha256.Size]byte]) string {
	h := sha256.New()
	var line []byte
	for p, sum := range files {
		line = strconv.AppendInt(line[:0], int64(len(p)), 10)
		line = append(append(append(line, ':'), p...), '\n')
		line = append(hex.AppendEncode(line, sum[:]), '\n')
		h.Write(line) // a hash never fails
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// sameLook reports whether two looks found the same files, by name and stat. It is the test of invariant 1. A file
// that came or went between them counts; so does one that was replaced by another of its size and time.
func (r *Reading) sameLook(other *Reading) bool {
	return r.root == other.root && sameStats(r.files, other.files) && sameStats(r.tests, other.tests)
}

// sameStats reports whether two looks saw the same files with the same stats: then nothing was written between them, as far
// as stats can show.
func sameStats(all, others []*File) bool {
	return slices.EqualFunc(all, others, func(a, b *File) bool {
		switch {
		case a == b:
			return true
		case a.Path != b.Path:
			return false
		case isLasting(a.info):
			return sameLasting(a.info, b.info)
		default:
			return a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime()) &&
				(os.SameFile(a.info, b.info) || !hasIdentity(a.info))
		}
	})
}

// hasIdentity reports whether os.SameFile can compare info at all. Files that are embedded or in memory
// have no identity.
func hasIdentity(info fs.FileInfo) bool { return os.SameFile(info, info) }
