package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who takes over an installation does it once, and reads each command from there.
func TestEachCommandOfTheMigrationIsRun(t *testing.T) {
	text, err := os.ReadFile("../../../docs/how-to/take-over.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "takeover", "00_taken_over_used_and_handed_back.txt"))
	if err != nil {
		t.Fatal(err)
	}
	commands, inBlock := 0, false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			inBlock = line == "```sh"
			continue
		}
		if !inBlock {
			continue
		}
		commands++
		if !strings.Contains(string(script), "exec "+line+"\n") && !strings.Contains(string(script), "exec sh -c '"+line+"'\n") &&
			!strings.Contains(string(script), "exec "+line+" &") {
			t.Errorf("no script runs %q", line)
		}
	}
	if commands == 0 {
		t.Error("MIGRATION.md has no commands")
	}
}
