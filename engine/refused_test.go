package engine_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the expectations of testdata/refused")

// Each testdata/refused/*.txtar is a policy directory and, in its file "want", the diagnostics
// expected of it: file:line:column: code: message, then the source line after a bar.
func TestEveryErrorIsReportedWithItsPlace(t *testing.T) {
	cases, err := filepath.Glob("testdata/refused/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, want := tree{}, ""
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
				} else {
					files[f.Name] = string(f.Data)
				}
			}
			_, err = engine.Load(t.Context(), files.fs(), nil)
			var got strings.Builder
			for _, d := range diagnostics(err) {
				fmt.Fprintln(&got, d)
				for _, line := range d.Details {
					fmt.Fprintf(&got, "    %s\n", line)
				}
				if d.Text != "" {
					fmt.Fprintf(&got, "  | %s\n", d.Text)
				}
			}
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
