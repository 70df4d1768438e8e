package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/policies"
)

// The policies of the examples load, pass their tests, which reach most of their lines, and are formatted.
func TestThePoliciesPassTheirTests(t *testing.T) {
	dirs, err := filepath.Glob(root + "*/policy")
	if err != nil || len(dirs) < 5 {
		t.Fatalf("there are %d policies: %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) {
			whole := dir
			if strings.Contains(dir, "agent") { // it lies beside the default pack
				whole = t.TempDir()
				if err := os.CopyFS(whole, policies.FS()); err != nil {
					t.Fatal(err)
				}
				if err := os.CopyFS(whole, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
			}
			for _, args := range [][]string{
				{"policy", "validate", "--rego-dir", whole}, {"policy", "test", "--rego-dir", whole, "--threshold", "80"}, {"policy", "fmt", "--check", dir},
			} {
				if out := run(t, program(t.Context(), args...)); out.code != 0 {
					t.Errorf("%v: %v", args, out)
				}
			}
		})
	}
}
