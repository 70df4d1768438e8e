//go:build unix

package fleetproof_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// The example in docs/examples/fleet starts a broker and three agents, and publishes.
func TestTheExampleRuns(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, program := range []string{"defenseclaw", "defenseclaw-gateway"} {
		text := fmt.Sprintf("#!/bin/sh\nexec env %s=1 GORACE=atexit_sleep_ms=0 %q \"$@\"\n", programVariable, self)
		if err := os.WriteFile(filepath.Join(bin, program), []byte(text), 0o700); err != nil { //nolint:gosec // it is a program
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "../../../docs/examples/fleet/run.sh", "--once")
	cmd.Env = append(os.Environ(), "BIN="+bin, "NO_COLOR=1", "TMPDIR="+t.TempDir(), "DEFENSECLAW_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	want := regexp.MustCompile(`(?s)3 of 3 agents serve sha256:.*1 file.*delta \d+ bytes.*3 of 3 agents serve sha256:.*1 of 2 tests failed; nothing was sent.*state +current`)
	if err != nil || !want.Match(out) {
		t.Errorf("%v:\n%s", err, out)
	}
}
