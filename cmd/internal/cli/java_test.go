package cli

import (
	"os/exec"
	"testing"
)

// TestTheCallerInJava compiles the caller of docs/examples and asks a sidecar with it. It is skipped where there is no JDK.
func TestTheCallerInJava(t *testing.T) {
	for _, program := range []string{"javac", "java"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: the caller in Java is not tested: %v", err)
		}
	}
	dir := t.TempDir()
	compile := exec.CommandContext(t.Context(), "javac", "--release", "11", "-Xlint:all", "-Werror", "-d", dir, "../../../docs/examples/caller/java/Ask.java")
	if output, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, output)
	}
	runScripts(t, "testdata/java", "CLIENTS="+dir)
}
