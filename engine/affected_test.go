package engine_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/corpus"
	"defenseclaw/engine/enginetest"
	"defenseclaw/engine/source"
)

// author runs an engine that holds tests over files, for as long as the test lasts.
func author(t testing.TB, source func() (fs.FS, error)) *engine.Engine {
	t.Helper()
	e := enginetest.New(t, engine.Config{Source: source, Tests: true, Settle: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return e
}

func TestAChangeAffectsTheTestsThatCanSeeIt(t *testing.T) {
	files := fstest.MapFS{}
	put := func(name, text string) { files[name] = &fstest.MapFile{Data: []byte(text)} }
	put("lib.rego", "package lib\nyes := true\n")
	put("lib_test.rego", "package lib_test\ntest_lib if data.lib.yes\n")
	put("a.rego", "package a\nallow if data.lib.yes\n")
	put("a_test.rego", "package a_test\ntest_a if data.a.allow\n")
	put("b.rego", "package b\nallow if data.limits.b > 1\n")
	put("b_test.rego", "package b\ntest_b if allow\n")
	put("data.json", `{"limits":{"b":2,"c":3}}`)
	e := author(t, func() (fs.FS, error) { return files, nil })
	reload := func() *engine.Generation {
		t.Helper()
		report, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI})
		if err != nil {
			t.Fatal(err)
		}
		return report.Generation
	}
	first := reload()
	for _, c := range []struct{ file, text, want string }{
		{"a.rego", "package a\nallow if not data.lib.no\n", "[data.a_test]"},
		{"lib.rego", "package lib\nyes if 1 == 1\n", "[data.a_test data.lib_test]"},
		{"data.json", `{"limits":{"b":2,"c":4}}`, "[]"},
		{"data.json", `{"limits":{"b":0,"c":4}}`, "[data.b]"},
		{"a_test.rego", "package a_test\ntest_a if 1 == 1\n", "[data.a_test]"},
	} {
		before := e.Current()
		put(c.file, c.text)
		got := []string{}
		if suite := reload().AffectedTests(before); suite != nil {
			for _, ref := range suite.Only {
				got = append(got, ref.String())
			}
		}
		slices.Sort(got)
		if fmt.Sprint(got) != c.want {
			t.Errorf("after %s: %s is affected, not %s", c.text, got, c.want)
		}
	}
	if suite := e.Current().AffectedTests(nil); len(suite.Modules) != 6 || len(first.Tests().Modules) != 6 {
		t.Errorf("all tests run against %d modules", len(suite.Modules))
	}
	delete(files, "a.rego")
	before := e.Current()
	if suite := reload().AffectedTests(before); suite != nil {
		t.Errorf("nothing refers to what was removed, but %v is affected", suite.Only)
	}
}

// BenchmarkSaveToSuite is what the author of a leaf module waits for among 1,000 modules, the
// watch's 3 ms and the tests themselves apart: read, compile, find the affected tests.
func BenchmarkSaveToSuite(b *testing.B) {
	dir := b.TempDir()
	put := func(name, text string) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for name, text := range corpus.Tenants(1000) {
		put(name, text)
	}
	for i := range 1000 {
		put(fmt.Sprintf("tenants/t%03d/tenant%05d_test.rego", i/100, i), fmt.Sprintf(
			"package tenants.t%[1]d_test\n\ntest_denied if not data.tenants.t%[1]d.allow with input as {\"user\": {\"name\": \"mallory-%[1]d\"}}\n", i))
	}
	e := author(b, func() (fs.FS, error) { return source.Open(dir, source.Config{}) })
	if _, err := e.Reload(b.Context(), engine.Trigger{Kind: engine.TriggerStartup}); err != nil {
		b.Fatal(err)
	}
	version := 0
	for b.Loop() {
		version++
		put(corpus.TenantPath(500), corpus.Tenant(500, version))
		before := e.Current()
		report, err := e.Reload(b.Context(), engine.Trigger{Kind: engine.TriggerWatch, Paths: []string{corpus.TenantPath(500)}})
		if err != nil {
			b.Fatal(err)
		}
		suite := report.Generation.AffectedTests(before)
		if len(suite.Only) != 1 {
			b.Fatalf("%d packages of tests are affected", len(suite.Only))
		}
		compiler := suite.NewCompiler()
		if compiler.Compile(suite.Modules); compiler.Failed() {
			b.Fatal(compiler.Errors)
		}
	}
}
