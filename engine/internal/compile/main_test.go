package compile

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/store"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// corpus is files as package engine reads them.
type corpus struct {
	modules map[string]*unit.Module // by file
	data    *store.Store
}

// read parses files, taking from before the modules whose text is the same.
func read(t *testing.T, files map[string]string, before corpus) corpus {
	t.Helper()
	src := fstest.MapFS{}
	for name, text := range files {
		src[name] = &fstest.MapFile{Data: []byte(text)}
	}
	reading, err := source.Read(t.Context(), src, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	parsed, _, err := parse.All(t.Context(), reading, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := corpus{modules: map[string]*unit.Module{}}
	for _, p := range parsed {
		if p.Wrong != nil {
			t.Fatal(p.Wrong)
		}
		if p.Unit == nil {
			continue
		}
		c.modules[p.Path()] = p.Unit
		if old := before.modules[p.Path()]; old != nil && old.Syntax.Module().Equal(p.Unit.Syntax.Module()) {
			c.modules[p.Path()] = old
		}
	}
	root, conflicts := parse.Merge(parsed)
	if len(conflicts) > 0 {
		t.Fatal(conflicts)
	}
	c.data = store.New(root)
	return c
}

func (c corpus) all() []*unit.Module {
	var all []*unit.Module
	for _, m := range c.modules {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *unit.Module) int { return strings.Compare(a.File, b.File) })
	return all
}

// edit is the difference between before and c.
func (c corpus) edit(before corpus) Edit {
	e := Edit{Data: c.data, DataChanged: before.data != nil && before.data.Root().Compare(c.data.Root()) != 0}
	for file, m := range before.modules {
		if c.modules[file] != m {
			e.Removed = append(e.Removed, m)
		}
	}
	for file, m := range c.modules {
		if before.modules[file] != m {
			e.Added = append(e.Added, m)
		}
	}
	return e
}

// build makes the policy of c by an edit of previous, which was made of before.
func (c corpus) build(t *testing.T, previous *Policy, before corpus) (*Policy, error) {
	t.Helper()
	return Build(t.Context(), previous, c.edit(before), c.all)
}

// keyOf is the key of data.NAME, or of a place below it.
func keyOf(name string) unit.Key {
	return unit.Key(strings.ReplaceAll(name, ".", "\x00") + "\x00")
}
