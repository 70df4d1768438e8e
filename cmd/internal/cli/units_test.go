//go:build linux

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSystemdAcceptsTheUnitFiles verifies those in docs, with the test binary as the program.
func TestSystemdAcceptsTheUnitFiles(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("docs/systemd IS NOT CHECKED: systemd-analyze is not installed")
	}
	const installed = "/usr/local/bin/defenseclaw-gateway"
	dir, self := t.TempDir(), program(t)
	verify := func(change func(string) string) string {
		t.Helper()
		args := []string{"verify", "--man=no", "--recursive-errors=no"}
		for _, name := range []string{"defenseclaw-gateway.service", "defenseclaw-gateway.socket"} {
			text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "systemd", name))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(change(strings.ReplaceAll(string(text), installed, self))), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
		}
		output, err := exec.Command(analyze, args...).CombinedOutput()
		if err != nil && len(output) == 0 {
			t.Fatal(err)
		}
		return string(output)
	}
	wrong := verify(func(text string) string { return strings.ReplaceAll(text, "WatchdogSec=", "WatchdogSeconds=") })
	if !strings.Contains(wrong, "WatchdogSeconds") {
		t.Skipf("docs/systemd IS NOT CHECKED: systemd-analyze does not work here: %s", wrong)
	}
	if output := verify(func(text string) string { return text }); output != "" {
		t.Error(output)
	}
}
