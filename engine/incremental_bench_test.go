package engine_test

import (
	"fmt"
	"maps"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/internal/corpus"
)

var sizes = []int{10, 100, 1000, 5000}

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
