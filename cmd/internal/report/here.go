package report

import (
	"os"
	"path"
	"path/filepath"
	"slices"

	"defenseclaw/engine/diagnostic"
)

// Here is a directory as somebody in the working directory names it, as a slash path, so that terminals find files in it. A
// relative one is as it was typed.
func Here(dir string) string {
	if !filepath.IsAbs(dir) {
		return filepath.ToSlash(filepath.Clean(dir))
	}
	if wd, err := os.Getwd(); err == nil {
		// Through a symbolic link, .. leads elsewhere than its name says.
		if rel, err := filepath.Rel(wd, dir); err == nil && same(rel, dir) {
			dir = rel
		}
	}
	return filepath.ToSlash(filepath.Clean(dir))
}

func same(a, b string) bool {
	inA, errA := os.Stat(a)
	inB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(inA, inB)
}

// PlaceIn says what a file of a policy directory is called by somebody in the working directory. dir is empty where there is none,
// such as for the embedded pack: the names stay as they are.
func PlaceIn(dir string) func(file string) string {
	if dir == "" {
		return AsIs
	}
	here := Here(dir)
	return func(file string) string { return path.Join(here, file) }
}

// AsIs is the place of a file that is called as its policy directory has it.
func AsIs(file string) string { return file }

// In returns diagnostics with their files named by [PlaceIn].
func In(dir string, ds diagnostic.List) diagnostic.List { return Placed(ds, PlaceIn(dir)) }

// Placed returns diagnostics with their files named by place.
func Placed(ds diagnostic.List, place func(file string) string) diagnostic.List {
	named := slices.Clone(ds)
	for i := range named {
		if named[i].File != "" {
			named[i].File = place(named[i].File)
		}
	}
	return named
}
