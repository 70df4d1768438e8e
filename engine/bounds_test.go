package engine_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"
)

// TestFilesAreBoundedTogether with files that take nothing on disk, and would take 6 GiB of memory.
func TestFilesAreBoundedTogether(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.rego"), []byte("package p\nx := 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := run(t, engine.Config{Source: func() (fs.FS, error) { return source.Open(dir, source.Config{}) }})
	if _, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerStartup}); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		name := filepath.Join(dir, fmt.Sprintf("d%d", i), "data.json")
		if err := errors.Join(os.Mkdir(filepath.Dir(name), 0o700), os.WriteFile(name, nil, 0o600), os.Truncate(name, 512<<20)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI})
	var refused *engine.Refused
	if !errors.As(err, &refused) || len(refused.Diagnostics) != 1 || refused.Diagnostics[0].Code != diagnostic.CodePolicyTooLarge {
		t.Fatalf("12 sparse files are refused with %v", err)
	}
	if want := "would need more than 4294967296 bytes of memory"; !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want …%s", err, want)
	}
	if g := e.Current(); g.Number() != 1 {
		t.Errorf("generation %d serves", g.Number())
	}
}

func TestAFileWithANumberOfTooManyDigitsIsRefused(t *testing.T) {
	many := strings.Repeat("1", 10_001)
	for name, text := range map[string]string{
		"data.json": "{\"a\":\n " + many + "}", "d/data.json": "{\"a\":\n 1e10001}", "data.yaml": "{\"a\":\n " + many + "}",
		"q.rego": "package q\n\nx := " + many, "r.rego": "package r\n\nx if input.y > 0." + many,
	} {
		_, err := engine.Load(t.Context(), fstest.MapFS{"p.rego": {Data: []byte("package p\n")}, name: {Data: []byte(text)}}, nil)
		var refused *engine.Refused
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "more than 10000 digits") {
			t.Errorf("%s is refused with %.200v", name, err)
		} else if d := refused.Diagnostics[0]; d.File != name || d.Line < 2 && name != "data.yaml" {
			t.Errorf("%s: the error is at %s:%d", name, d.File, d.Line)
		}
	}
	fine := fstest.MapFS{"p.rego": {Data: []byte("package p\n\nx := \"" + many + "\"\ny := 1e400 # " + many)}}
	if _, err := engine.Load(t.Context(), fine, nil); err != nil {
		t.Error(err)
	}
}
