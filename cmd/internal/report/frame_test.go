package report_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the wanted diagnostics")

// Each testdata/*.txtar is a broken policy directory. Its file "want" is what an author sees;
// -update writes it.
func TestEveryKindOfErrorIsDrawn(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, want := fstest.MapFS{}, ""
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
				} else {
					files[f.Name] = &fstest.MapFile{Data: f.Data}
				}
			}
			_, err = engine.Load(t.Context(), files, nil)
			var refused *engine.Refused
			if !errors.As(err, &refused) {
				t.Fatalf("the policy was not refused: %v", err)
			}
			var got strings.Builder
			report.Write(&got, refused.Diagnostics)
			if *update {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
				archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got.String())})
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got.String() != want {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}
