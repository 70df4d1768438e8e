package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/corpus"
	"defenseclaw/engine/enginetest"
	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"

	"pgregory.net/rapid"
)

// sharing is an engine over trees that share what they have in common.
type sharing struct {
	*engine.Engine
	tree *memfs.Tree
}

// newSharing runs an engine until end is called.
func newSharing(t testing.TB, tree *memfs.Tree) (s *sharing, end func()) {
	s = &sharing{tree: tree}
	s.Engine = enginetest.New(t, engine.Config{Source: func() (fs.FS, error) { return s.tree, nil }, Settle: time.Nanosecond, RemovalWait: -1})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, func() { cancel(); <-ended }
}

// TestAReloadOfASharedTreeIsALoadOfItsFiles for all sequences of edits, whatever the trigger says has changed. Policy that
// moves into the rego folder and out of it is another policy.
func TestAReloadOfASharedTreeIsALoadOfItsFiles(t *testing.T) {
	folders := rapid.SampledFrom([]string{"", "rego/", "rego/a/", "rego/a/b/", "c/", "c/d/"})
	names := rapid.SampledFrom([]string{"p.rego", "q.rego", "p_test.rego", "data.json", "data-x.json", "README.md", ".hidden.rego"})
	kinds := rapid.SampledFrom([]engine.TriggerKind{engine.TriggerWatch, engine.TriggerPoll, engine.TriggerAPI})
	rapid.Check(t, func(rt *rapid.T) {
		tree := memfs.New(maps.All(map[string][]byte{"z.rego": []byte("package z\n\nx := 1\n")}))
		e, end := newSharing(t, tree)
		defer end()
		reload := func(trigger engine.Trigger) (engine.Report, error) { return e.Reload(t.Context(), trigger) }
		if _, err := reload(engine.Trigger{Kind: engine.TriggerStartup}); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 8).Draw(rt, "edits") {
			changed := map[string][]byte{}
			var removed []string
			for range rapid.IntRange(1, 3).Draw(rt, "files") {
				p := folders.Draw(rt, "folder") + names.Draw(rt, "name")
				if rapid.IntRange(0, 3).Draw(rt, "remove") == 0 {
					removed = append(removed, p)
					continue
				}
				changed[p] = sharedText(p, rapid.IntRange(0, 3).Draw(rt, "version"))
			}
			next, err := e.tree.Apply(changed, removed)
			if err != nil {
				rt.Fatal(err)
			}
			paths := next.ChangedSince(e.tree)
			if rapid.IntRange(0, 4).Draw(rt, "wrong paths") == 0 {
				paths = []string{"nowhere/p.rego"}
			}
			e.tree = next
			_, err = reload(engine.Trigger{Kind: kinds.Draw(rt, "trigger"), Paths: paths, Recheck: rapid.Bool().Draw(rt, "recheck")})
			want, wantErr := engine.Load(t.Context(), memfs.New(next.Files()), nil)
			if (err == nil) != (wantErr == nil) {
				rt.Fatalf("%v; a load of the same files: %v", err, wantErr)
			}
			if err != nil {
				continue
			}
			got := e.Current()
			if got.Revision() != want.Revision() || !slices.EqualFunc(got.Files(), want.Files(), sameFile) {
				rt.Fatalf("%s %v; want %s %v", got.Revision(), got.Files(), want.Revision(), want.Files())
			}
		}
	})
}

func sharedText(p string, version int) []byte {
	if path.Ext(p) == ".json" {
		return fmt.Appendf(nil, `{"v%d": %d}`, len(p), version)
	}
	if version == 3 {
		return []byte("package p\n\nx := ")
	}
	return fmt.Appendf(nil, "package p%x\n\nx := %d\n", p, version)
}

// BenchmarkReloadSharedTree is an edit of one module of many in a tree that shares the rest with the one before, and, for
// comparison, of the same files in a tree that shares nothing.
func BenchmarkReloadSharedTree(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
			all := map[string][]byte{}
			for p, text := range corpus.Tenants(n) {
				all[p] = []byte(text)
			}
			e, end := newSharing(b, memfs.New(maps.All(all)))
			defer end()
			if _, err := e.Reload(b.Context(), engine.Trigger{Kind: engine.TriggerStartup}); err != nil {
				b.Fatal(err)
			}
			var took [2]time.Duration
			version := 0
			reload := func(tree *memfs.Tree) time.Duration {
				e.tree = tree
				begun := time.Now()
				report, err := e.Reload(b.Context(), engine.Trigger{Kind: engine.TriggerWatch, Paths: []string{corpus.TenantPath(5)}, Recheck: true})
				if err != nil || report.Result != engine.Success {
					b.Fatal(report.Result, err)
				}
				return time.Since(begun)
			}
			for b.Loop() {
				for i := range took {
					version++
					tree, err := e.tree.Apply(map[string][]byte{corpus.TenantPath(5): []byte(corpus.Tenant(5, version))}, nil)
					if err != nil {
						b.Fatal(err)
					}
					if i == 1 {
						tree = memfs.New(tree.Files())
					}
					took[i] += reload(tree)
				}
			}
			b.ReportMetric(float64(took[0].Microseconds())/1000/float64(b.N), "shared-ms")
			b.ReportMetric(float64(took[1].Microseconds())/1000/float64(b.N), "whole-ms")
			b.ReportMetric(float64(took[1])/float64(took[0]), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func sameFile(a, b *source.File) bool {
	return a.Path == b.Path && a.Rel() == b.Rel() && a.Kind() == b.Kind() && bytes.Equal(a.Bytes, b.Bytes)
}
