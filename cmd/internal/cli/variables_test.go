package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// The settings refuse variables that nobody reads, so they must know those that commands read by themselves.
func TestVariablesThatCommandsReadAreNotUnknown(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	t.Setenv("DEFENSECLAW_HOME", t.TempDir())
	seen := 0
	for _, file := range files {
		if matched, _ := filepath.Match("*_test.go", file); matched {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`= "(DEFENSECLAW_[A-Z_]+)"`).FindAllStringSubmatch(string(text), -1) {
			seen++
			t.Setenv(found[1], "x")
		}
	}
	if _, err := reader(func(string) (string, bool) { return "", false }).Read(); err != nil || seen < 6 {
		t.Errorf("%d variables: %v", seen, err)
	}
}
