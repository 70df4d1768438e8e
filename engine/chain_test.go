package engine

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"weak"

	"defenseclaw/engine/corpus"
	"defenseclaw/engine/internal/eval"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"
)

func tenants(n int) fstest.MapFS {
	src := fstest.MapFS{}
	for name, text := range corpus.Tenants(n) {
		src[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return src
}

func put(src fstest.MapFS, path, text string) { src[path] = &fstest.MapFile{Data: []byte(text)} }

// everyKindOfEdit applies the i-th edit: bodies, signatures, functions, indexed comprehensions,
// files that come and go, data.
func everyKindOfEdit(src fstest.MapFS, i int) {
	const indexed = "\nlists := {k: vs | some k in [1, 2]; vs := [v | some v in [1, 2, 3]; v != k]}\n" +
		"again := [w | some k in [1, 2]; some w in [v | v := data.limits[k2]; k2 == k]]\n"
	switch tenant := i % 4; i % 9 {
	case 0:
		put(src, corpus.LibraryPath(1), corpus.Library(1, i))
	case 1:
		put(src, corpus.LibraryPath(1), corpus.LibraryWithAnotherSignature(1, i))
	case 2:
		put(src, corpus.TenantPath(tenant), corpus.Tenant(tenant, i)+indexed)
	case 3:
		put(src, "extra/extra.rego", fmt.Sprintf("package extra\nimport data.tenants.t1\nv%d := t1.version\nf%d(a) := a", i, i))
	case 4:
		delete(src, "extra/extra.rego")
	case 5:
		put(src, corpus.TenantPath(tenant), corpus.Tenant(tenant, i)+fmt.Sprintf("\nf%d(a, b) := [a, b]\n", i))
	case 6:
		put(src, "data.json", fmt.Sprintf(`{"limits": {"requests": %d, "size": 4096}, "regions": ["eu"]}`, i))
	default:
		put(src, corpus.TenantPath(tenant), corpus.Tenant(tenant, i))
	}
}

func reload(t tB, src fstest.MapFS, previous *Generation) *Generation {
	t.Helper()
	g, err := Load(context.Background(), src, previous)
	if err != nil {
		t.Fatalf("Load: %v\n%v", err, problems(err))
	}
	return g
}

// What generations share is never written after it is shared: the race detector watches decisions
// on all of a chain's generations, the oldest included, while it grows.
func TestDecisionsOnEveryGenerationRunBesideSplices(t *testing.T) {
	const edits = 45
	src := tenants(8)
	type held struct {
		g      *Generation
		answer string
	}
	ask := ast.MustParseTerm(`{"user": {"name": " Ann ", "roles": ["viewer"]}, "action": "read", "size": 1, "region": "eu"}`).Value
	paths := []string{"tenants", "tenants/t1", "tenants/t3/allow", "lib", "", "lib/lib1", "extra", "tenants/t2/lists"}
	all := func(g *Generation) string {
		text := ""
		for _, path := range paths {
			text += path + ": " + answerOf(t, g, path, ask) + "\n"
		}
		return text
	}
	var chain [edits + 1]atomic.Pointer[held]
	var length atomic.Int64
	add := func(g *Generation) {
		chain[length.Load()].Store(&held{g, all(g)})
		length.Add(1)
	}
	g := reload(t, src, nil)
	add(g)
	var deciders sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		deciders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				h := chain[rand.IntN(int(length.Load()))].Load()
				// A fresh copy prepares its queries anew, beside everyone else's.
				again := &Generation{
					reading: h.g.reading, policy: h.g.policy, data: h.g.data, evaluator: eval.New(h.g.policy, h.g.data, eval.Config{}),
				}
				if got := all(again); got != h.answer {
					t.Errorf("generation %d answers\n%s\nand did answer\n%s", h.g.Number(), got, h.answer)
					return
				}
			}
		})
	}
	for i := range edits {
		everyKindOfEdit(src, i)
		g = reload(t, src, g)
		add(g)
	}
	close(done)
	deciders.Wait()
}

func TestAChainOfSplicesKeepsNoOldGeneration(t *testing.T) {
	edits := 200
	if *thorough {
		edits = 1000
	}
	src := tenants(8)
	g := reload(t, src, nil)
	var olds []weak.Pointer[Generation]
	var compilers []weak.Pointer[ast.Compiler]
	var trees []weak.Pointer[ast.TreeNode]
	var modules []weak.Pointer[ast.Module]
	var allocated [2]uint64
	for i := range edits {
		olds, compilers = append(olds, weak.Make(g)), append(compilers, weak.Make(g.policy.Compiler()))
		trees = append(trees, weak.Make(g.policy.Compiler().RuleTree))
		modules = append(modules, weak.Make(g.Module(corpus.TenantPath(i%4))))
		before := allocatedBytes()
		everyKindOfEdit(src, i)
		g = reload(t, src, g)
		if last := edits / 5; i < last || i >= edits-last {
			allocated[i/(edits-last)] += allocatedBytes() - before
		}
	}
	runtime.GC()
	runtime.GC()
	count := func(alive func(int) bool) (n int) {
		for i := range edits {
			if alive(i) {
				n++
			}
		}
		return n
	}
	for what, n := range map[string]int{
		"generations": count(func(i int) bool { return olds[i].Value() != nil }),
		"compilers":   count(func(i int) bool { return compilers[i].Value() != nil }),
		"rule trees":  count(func(i int) bool { return trees[i].Value() != nil }),
		// Each of the four tenants lives on in the module that now serves, for some edits already.
		"replaced modules": count(func(i int) bool {
			m := modules[i].Value()
			return m != nil && m != g.Module(corpus.TenantPath(i%4))
		}),
	} {
		if n > 0 {
			t.Errorf("%d old %s are kept alive after %d edits", n, what, edits)
		}
	}
	if early, late := allocated[0], allocated[1]; late > early+early/4 {
		t.Errorf("the last fifth of %d edits allocated %d bytes, the first %d: the cost grows", edits, late, early)
	}
	runtime.KeepAlive(g)
}

func allocatedBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestAThousandRandomEditsEndInWhatAFreshLoadGives(t *testing.T) {
	edits := 100
	if *thorough {
		edits = 1000
	}
	corpora := rapid.Custom(func(t *rapid.T) *wild { return newWild(t) })
	w := corpora.Example(1)
	var g *Generation
	served := 0
	for i := range edits {
		// Each edit is drawn anew, from where the edits before led.
		files := rapid.Custom(func(t *rapid.T) map[string]string {
			next := &wild{t: t, files: maps.Clone(w.files)}
			next.edit()
			return next.files
		}).Example(i + 1)
		if next, err := Load(t.Context(), (&wild{files: files}).fs(), g); err == nil {
			w, g = &wild{files: files}, next // an author repairs, or takes back, what was refused
			served++
		}
	}
	fresh, err := loadWhole(t.Context(), w.fs())
	if err != nil {
		t.Fatalf("%v\n%s", err, show(w.files))
	}
	if a, b := describe(g.policy, nil), describe(fresh.policy, nil); a != b {
		t.Fatalf("%s\nafter %d edits:\n%s\nfresh:\n%s", show(w.files), edits, a, b)
	}
	compareAnswers(t, w, g, fresh)
	if served < edits/10 {
		t.Errorf("only %d of %d edits were served", served, edits)
	}
	t.Logf("%d of %d edits were served", served, edits)
}
