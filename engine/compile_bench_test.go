package engine

import (
	"fmt"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/corpus"
	"defenseclaw/engine/internal/compile"
	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/source"
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
	for i := 1; b.Loop(); i++ {
		b.StopTimer()
		src[path] = &fstest.MapFile{Data: []byte(version(i))}
		reading, err := read(b.Context(), src, source.Options{Earlier: source.Earlier{Previous: g.reading}})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		next, err := parseNext(b.Context(), reading, g)
		if err != nil {
			b.Fatal(err)
		}
		policy, err := next.compile(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		g = newGeneration(next, policy, eval.Config{})
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
		s, err := parseNext(b.Context(), g.reading, nil)
		if err != nil {
			b.Fatal(err)
		}
		for name, build := range map[string]buildFunc{"parts": compile.Build, "whole": buildWhole} {
			b.Run(fmt.Sprintf("%s/N=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.compileBy(b.Context(), build); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
