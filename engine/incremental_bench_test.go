package engine_test

import (
	"bytes"
	"fmt"
	"maps"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/corpus"
)

var sizes = []int{10, 100, 1000, 5000, 10000}

func BenchmarkLoadWhole(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
			src := tree(corpus.Tenants(n)).fs()
			for b.Loop() {
				if _, err := engine.Load(b.Context(), src, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoadLeafEdit(b *testing.B) {
	benchmarkEdit(b, corpus.TenantPath(5), func(i int) string { return corpus.Tenant(5, i) })
}

func BenchmarkLoadLibraryBodyEdit(b *testing.B) {
	benchmarkEdit(b, corpus.LibraryPath(2), func(i int) string { return corpus.Library(2, i) })
}

func BenchmarkLoadLibrarySignatureEdit(b *testing.B) {
	benchmarkEdit(b, corpus.LibraryPath(2), func(i int) string {
		if i%2 == 0 {
			return corpus.Library(2, i)
		}
		return corpus.LibraryWithAnotherSignature(2, i)
	})
}

// BenchmarkLoadLeafBroken is an author's broken save.
func BenchmarkLoadLeafBroken(b *testing.B) {
	benchmarkEdit(b, corpus.TenantPath(5), func(i int) string {
		return corpus.Tenant(5, i) + "\nbroken := unknown_" + fmt.Sprint(i)
	})
}

func BenchmarkLoadLibraryBroken(b *testing.B) {
	benchmarkEdit(b, corpus.LibraryPath(2), func(i int) string {
		return corpus.Library(2, i) + "\nbroken := unknown_" + fmt.Sprint(i)
	})
}

// benchmarkEdit loads one version of a file after the other, each from the last that was good.
func benchmarkEdit(b *testing.B, path string, version func(int) string) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
			files := tree(maps.Clone(corpus.Tenants(n)))
			g, err := engine.Load(b.Context(), files.fs(), nil)
			if err != nil {
				b.Fatal(err)
			}
			src := files.fs()
			i := 0
			for b.Loop() {
				i++
				src[path] = tree{path: version(i)}.fs()[path]
				next, err := engine.Load(b.Context(), src, g)
				if err == nil {
					g = next
				}
			}
		})
	}
}

// userData is JSON of at least size bytes: records as a directory service would export them.
func userData(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"users": {`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, `"user-%06d": {"id": %d, "name": "User Number %d", "team": "team-%d", "active": %t, "roles": ["reader", "writer-%d"], "limits": {"requests": %d, "burst": 0.5}}`,
			i, i, i, i%40, i%3 == 0, i%7, 100*(i%9))
	}
	b.WriteString(`}}`)
	return b.Bytes()
}

// BenchmarkLoadDataEdit is an edit of one value among 12 MB of data, beside reading all of it anew.
func BenchmarkLoadDataEdit(b *testing.B) {
	text := userData(12 << 20)
	files := tree(maps.Clone(corpus.Tenants(100)))
	files["data.json"] = string(text)
	src := files.fs()
	g, err := engine.Load(b.Context(), src, nil)
	if err != nil {
		b.Fatal(err)
	}
	edit := func(i int) {
		src["data.json"] = &fstest.MapFile{Data: bytes.Replace(text, []byte(`"id": 5000,`), fmt.Appendf(nil, `"id": %d,`, 1_000_000+i), 1)}
	}
	b.Run("One", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			edit(i)
			if g, err = engine.Load(b.Context(), src, g); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Whole", func(b *testing.B) {
		for b.Loop() {
			if _, err := engine.Load(b.Context(), src, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
