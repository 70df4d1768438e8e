package enginetest_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"
)

func TestEveryDecisionOfATestIsMadeTwice(t *testing.T) {
	files := fstest.MapFS{"p.rego": {Data: []byte("package p\nx := input.a + 1\n")}}
	e := enginetest.New(t, engine.Config{Source: func() (fs.FS, error) { return files, nil }})
	done := make(chan error)
	go func() { done <- e.Run(t.Context()) }()
	if _, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		input, err := engine.ParseJSON([]byte(`{"a": 1}`))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := e.Current().Evaluate(t.Context(), engine.Path{"p", "x"}, input); err != nil || v.String() != "2" {
			t.Fatal(v, err)
		}
	}
	if n := e.ProgramCounts(); n != (engine.ProgramCounts{Decisions: 3, Compared: 3}) {
		t.Errorf("%+v", n)
	}
}

// TestTestsMakeTheirEnginesHere: one that another test made would compare nothing.
func TestTestsMakeTheirEnginesHere(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "enginetest_test.go" {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("engine.New(")) {
			t.Errorf("%s calls engine.New, not enginetest.New", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
