package memfs_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/memfs"

	"pgregory.net/rapid"
)

func files(all ...string) map[string][]byte {
	m := map[string][]byte{}
	for i := 0; i < len(all); i += 2 {
		m[all[i]] = []byte(all[i+1])
	}
	return m
}

func contentOf(t *memfs.Tree) map[string]string {
	m := map[string]string{}
	for p, content := range t.Files() {
		m[p] = string(content)
	}
	return m
}

// walked is what a walk of the directory finds, as the engine walks.
func walked(t interface{ Fatalf(string, ...any) }, tree fs.FS) map[string]string {
	m := map[string]string{}
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tree, p)
		m[p] = string(content)
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return m
}

func TestATreeIsADirectory(t *testing.T) {
	tree := memfs.New(maps.All(files("a.rego", "1", "b/c.rego", "2", "b/d/data.json", "{}", "e", "")))
	if err := fstest.TestFS(tree, "a.rego", "b/c.rego", "b/d/data.json", "e"); err != nil {
		t.Error(err)
	}
	if err := fstest.TestFS((*memfs.Tree)(nil)); err != nil {
		t.Error(err)
	}
}

func TestANameNeedNotBeUTF8(t *testing.T) {
	tree := memfs.New(maps.All(files("b\xff/a\xfe.rego", "1")))
	if got := walked(t, tree); got["b\xff/a\xfe.rego"] != "1" {
		t.Errorf("%q", got)
	}
}

func TestTheNextTreeSharesWhatIsTheSame(t *testing.T) {
	first := memfs.New(maps.All(files("a.rego", "1", "b/c.rego", "2", "b/d/e.rego", "3", "f/g.rego", "4")))
	stat := func(tree *memfs.Tree, p string) fs.FileInfo {
		info, err := fs.Stat(tree, p)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	second, err := first.Apply(files("b/c.rego", "5", "a.rego", "1"), []string{"f/g.rego", "nowhere", "b", "../x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"a.rego", "b/d", "b/d/e.rego"} {
		if stat(first, p) != stat(second, p) {
			t.Error(p, "is not shared")
		}
	}
	for _, p := range []string{".", "b", "b/c.rego"} {
		if stat(first, p) == stat(second, p) {
			t.Error(p, "changed")
		}
	}
	if _, err := fs.Stat(second, "f"); err == nil {
		t.Error("an empty folder is left")
	}
	if got := second.ChangedSince(first); !slices.Equal(got, []string{"b/c.rego", "f/g.rego"}) {
		t.Error(got)
	}
	if got := contentOf(first)["b/c.rego"]; got != "2" {
		t.Error("the first tree changed:", got)
	}
	if same, err := second.Apply(files("b/c.rego", "5"), []string{"f/g.rego"}); err != nil || same != second {
		t.Error("nothing changed, and there is another tree", err)
	}
	if same, err := second.Replace(files("b/c.rego", "5", "a.rego", "1", "b/d/e.rego", "3")); err != nil || same != second {
		t.Error("nothing changed, and there is another tree", err)
	}
}

func TestPathsThatDoNotGoTogetherAreAnError(t *testing.T) {
	for _, tt := range []struct {
		is   map[string][]byte
		want string
	}{
		{files("a", "", "a/b", ""), "a is a file and a folder at once"},
		{files("x/a/b/c", "", "x/a", ""), "x/a is a file and a folder at once"},
		{files("a/a", "", "a/a/a", ""), "a/a is a file and a folder at once"},
		{files("../a", ""), `"../a" is no path of a file in a directory`},
		{files("/a", ""), `"/a" is no path of a file in a directory`},
		{files("a//b", ""), `"a//b" is no path of a file in a directory`},
		{files("", ""), `"" is no path of a file in a directory`},
		{files(".", ""), `"." is no path of a file in a directory`},
	} {
		if _, err := (*memfs.Tree)(nil).Apply(tt.is, nil); err == nil || err.Error() != tt.want {
			t.Errorf("%v; want %s", err, tt.want)
		}
		broken := memfs.New(maps.All(tt.is))
		if _, err := broken.Open("."); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v; want %s", err, tt.want)
		}
		if _, err := broken.Apply(files("q", ""), nil); err == nil {
			t.Error("a broken tree has a successor")
		}
	}
	tree := memfs.New(maps.All(files("a/b", "1")))
	if _, err := tree.Apply(files("a", "2"), nil); err == nil {
		t.Error("a folder became a file")
	}
	if next, err := tree.Apply(files("a", "2"), []string{"a/b"}); err != nil || contentOf(next)["a"] != "2" {
		t.Error(err)
	} else if again, err := next.Apply(files("a/b", "3"), []string{"a", "a"}); err != nil || contentOf(again)["a/b"] != "3" {
		t.Error(err)
	}
}

func TestOverlaysAreThoseOfTheRootAndItsRegoFolder(t *testing.T) {
	tree := memfs.New(maps.All(files("data-a.json", "", "data.json", "", "rego/data-b.yaml", "", "x/data-c.json", "", "data-d/e", "", "data-f.txt", "")))
	if got := tree.Overlays(); !slices.Equal(got, []string{"data-a.json", "data-b.yaml"}) {
		t.Error(got)
	}
}

// TestATreeAfterManyEditsIsTheTreeOfItsFiles for all sequences of edits, with names that sort otherwise than their paths.
func TestATreeAfterManyEditsIsTheTreeOfItsFiles(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "a-", "a.rego", "b", "a\x01", "c", "data-x.json"})
	paths := rapid.Custom(func(t *rapid.T) string { return path.Join(rapid.SliceOfN(name, 1, 3).Draw(t, "path")...) })
	rapid.Check(t, func(t *rapid.T) {
		tree, want := (*memfs.Tree)(nil), map[string]string{}
		for range rapid.IntRange(1, 6).Draw(t, "edits") {
			changed, removed := map[string][]byte{}, rapid.SliceOfN(paths, 0, 4).Draw(t, "removed")
			for _, p := range rapid.SliceOfN(paths, 0, 5).Draw(t, "changed") {
				changed[p] = []byte{byte(rapid.IntRange('0', '2').Draw(t, "content"))}
			}
			next := maps.Clone(want)
			for _, p := range removed {
				delete(next, p)
			}
			for p, content := range changed {
				next[p] = string(content)
			}
			after, err := tree.Apply(changed, removed)
			if clashes(next) != (err != nil) {
				t.Fatalf("%v: %q", err, next)
			}
			if err != nil {
				continue
			}
			var differ []string
			for p := range next {
				if before, ok := want[p]; !ok || before != next[p] {
					differ = append(differ, p)
				}
			}
			for p := range want {
				if _, ok := next[p]; !ok {
					differ = append(differ, p)
				}
			}
			slices.Sort(differ)
			if got := after.ChangedSince(tree); !slices.Equal(got, differ) {
				t.Fatalf("changed %q; want %q", got, differ)
			}
			replaced, err := tree.Replace(bytesOf(next))
			if err != nil || len(replaced.ChangedSince(after)) != 0 {
				t.Fatalf("%v %q", err, replaced.ChangedSince(after))
			}
			tree, want = after, next
			if got := walked(t, tree); !maps.Equal(got, want) || !maps.Equal(contentOf(tree), want) {
				t.Fatalf("%q; want %q", got, want)
			}
		}
	})
}

func clashes(all map[string]string) bool {
	for p := range all {
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if _, ok := all[dir]; ok {
				return true
			}
		}
	}
	return false
}

func bytesOf(all map[string]string) map[string][]byte {
	m := map[string][]byte{}
	for p, content := range all {
		m[p] = []byte(content)
	}
	return m
}

// FuzzPaths holds that whatever paths a tree is made of, a walk finds just these, or the tree is an error.
func FuzzPaths(f *testing.F) {
	f.Add("a/b", "a", "c/../d")
	f.Add("x\x00/y", ".", "../z")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		all := files(a, "1", b, "2", c, "3")
		tree, err := (*memfs.Tree)(nil).Apply(all, nil)
		if err != nil {
			return
		}
		got := walked(t, tree)
		if len(got) != len(all) {
			t.Fatalf("%q of %q", got, all)
		}
		for p, content := range got {
			if !bytes.Equal(all[p], []byte(content)) {
				t.Errorf("%q", p)
			}
		}
	})
}

// BenchmarkApply is one file of a folder of many.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{100, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			all := map[string][]byte{}
			for i := range n {
				all[fmt.Sprintf("tenants/t%05d.rego", i)] = []byte("package p")
			}
			tree := memfs.New(maps.All(all))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				var err error
				if tree, err = tree.Apply(map[string][]byte{"tenants/t00007.rego": fmt.Append(nil, i)}, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
