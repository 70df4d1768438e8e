package source_test

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"
)

// looked counts which files and folders are opened.
type looked struct {
	fs.FS
	paths []string
}

func (l *looked) Open(name string) (fs.File, error) {
	l.paths = append(l.paths, name)
	return l.FS.Open(name)
}

func (l *looked) Overlays() []string { return l.FS.(source.Overlaid).Overlays() }

// reads returns a reading of the tree, and what was opened for it other than the way to the root.
func reads(t *testing.T, tree *memfs.Tree, o source.Options) (*source.Reading, string) {
	t.Helper()
	src := &looked{FS: tree}
	r, err := source.Read(t.Context(), src, o)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(src.paths)
	opened := slices.DeleteFunc(slices.Compact(src.paths), func(p string) bool { return p == "." || p == "rego" })
	return r, strings.Join(opened, " ")
}

// TestWhatLastsIsNotLookedAtAgain whoever asks, since its stat cannot be made to lie.
func TestWhatLastsIsNotLookedAtAgain(t *testing.T) {
	tree := memfs.New(maps.All(map[string][]byte{
		"a.rego": []byte("package a"), "b/c.rego": []byte("package c"), "b/d/e.rego": []byte("package e"), "b/d/e_test.rego": {}, "f/data.json": []byte("{}"),
	}))
	first, _ := reads(t, tree, source.Options{})
	from := source.Options{Earlier: source.Earlier{Previous: first}}
	if again, opened := reads(t, tree, from); opened != "" || again.Revision() != first.Revision() {
		t.Error("opened", opened)
	}
	next, err := tree.Apply(map[string][]byte{"b/c.rego": []byte("package d")}, []string{"f/data.json"})
	if err != nil {
		t.Fatal(err)
	}
	second, opened := reads(t, next, from)
	if opened != "b b/c.rego" {
		t.Error("opened", opened)
	}
	if changed := second.ChangedSince(first).All; !slices.Equal(changed, []string{"b/c.rego", "f/data.json"}) {
		t.Error(changed)
	}
	if second.Find("b/d/e.rego") != first.Find("b/d/e.rego") {
		t.Error("the file is not shared")
	}
	if &second.Source("b/c.rego")[0] != &maps.Collect(next.Files())["b/c.rego"][0] {
		t.Error("the bytes are not those of the tree")
	}

	// A reading of other kinds made other listings.
	from.Tests = true
	if tests, opened := reads(t, tree, from); opened != "b b/d b/d/e_test.rego f" || tests.Find("b/d/e_test.rego") == nil {
		t.Error("opened", opened)
	}
}

// swapping is a source that becomes another one while it is read.
type swapping struct {
	tree, next *memfs.Tree
	opens      int
}

func (s *swapping) Open(name string) (fs.File, error) {
	if s.opens--; s.opens == 0 {
		s.tree = s.next
	}
	return s.tree.Open(name)
}

// TestAReadingIsOfOneTree although files of both trees have the same sizes and no times.
func TestAReadingIsOfOneTree(t *testing.T) {
	one := memfs.New(maps.All(map[string][]byte{"a.rego": []byte("package a\nx := 1"), "b.rego": []byte("package b\nx := 1")}))
	two := memfs.New(maps.All(map[string][]byte{"a.rego": []byte("package a\nx := 2"), "b.rego": []byte("package b\nx := 2")}))
	for opens := range 12 {
		r, err := source.Read(t.Context(), &swapping{one, two, opens}, source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		a, b := r.Source("a.rego"), r.Source("b.rego")
		if a[len(a)-1] != b[len(b)-1] {
			t.Errorf("swapped at open %d: %s %s", opens, a, b)
		}
	}
}
