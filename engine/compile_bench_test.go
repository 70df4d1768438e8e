package engine

import (
	"fmt"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/corpus"
)

// BenchmarkCompileLeafEdit is the part of a reload between reading files and the swap: parse what
// changed, compile and splice it.
func BenchmarkCompileLeafEdit(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 5000, 10000} {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
			benchmarkCompile(b, n, corpus.TenantPath(5), func(i int) string { return corpus.Tenant(5, i) })
		})
	}
}

// BenchmarkCompileLibraryEdit edits a library that a quarter of all tenants import.
func BenchmarkCompileLibraryEdit(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 5000, 10000} {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
			benchmarkCompile(b, n, corpus.LibraryPath(2), func(i int) string { return corpus.Library(2, i) })
		})
	}
}

// BenchmarkCompileLeafSignatureEdit adds a function to a leaf, or takes it away.
func BenchmarkCompileLeafSignatureEdit(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 5000, 10000} {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
			benchmarkCompile(b, n, corpus.TenantPath(5), func(i int) string {
				return corpus.Tenant(5, i) + fmt.Sprintf("\nadded_%d(x) := x\n", i)
			})
		})
	}
}

func benchmarkCompile(b *testing.B, n int, path string, version func(int) string) {
	b.Helper()
	src := fstest.MapFS{}
	for name, text := range corpus.Tenants(n) {
		src[name] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := Load(b.Context(), src, nil)
	if err != nil {
		b.Fatal(err)
	}
	f := *g.files
	f.list = append([]*File(nil), f.list...)
	at := -1
	for i, file := range f.list {
		if file.Path == path {
			at = i
		}
	}
	i := 0
	for b.Loop() {
		i++
		file := *f.list[at]
		file.Bytes = []byte(version(i))
		file.hash[0], file.hash[1], file.hash[2] = byte(i), byte(i>>8), byte(i>>16)
		f.list[at] = &file
		all, err := parseAll(b.Context(), &f, g.parsed)
		if err != nil {
			b.Fatal(err)
		}
		next, err := compileSound(b.Context(), all, g.data, &f, nil, g)
		if err != nil {
			b.Fatal(err)
		}
		g = newGeneration(&f, all, next, g.data, g)
	}
}

// BenchmarkFirstCompile compares one compiler for everything with parts of the corpus in parallel.
func BenchmarkFirstCompile(b *testing.B) {
	for _, n := range []int{100, 1000, 5000} {
		src := fstest.MapFS{}
		for name, text := range corpus.Tenants(n) {
			src[name] = &fstest.MapFile{Data: []byte(text)}
		}
		g, err := Load(b.Context(), src, nil)
		if err != nil {
			b.Fatal(err)
		}
		all, err := parseAll(b.Context(), g.files, g.parsed)
		if err != nil {
			b.Fatal(err)
		}
		for name, previous := range map[string]*Generation{
			"parts": nil, "whole": {files: &files{}, policy: &policy{whole: "measured"}},
		} {
			b.Run(fmt.Sprintf("%s/N=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := compileSound(b.Context(), all, g.data, g.files, nil, previous); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
