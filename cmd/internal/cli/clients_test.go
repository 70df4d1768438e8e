package cli

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// unreachable matches errors of npm about the network or the registry, not about the lock or a package.
var unreachable = regexp.MustCompile(`\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED|E401|E403|E407|E429|E5\d\d)\b`)

// TestOPAsClientsForJavaScript runs OPA's clients against the sidecar. It is skipped where node, npm or the
// packages are not available.
func TestOPAsClientsForJavaScript(t *testing.T) {
	const from = "testdata/clients"
	if lock, err := os.ReadFile(from + "/package-lock.json"); err != nil || bytes.Contains(lock, []byte(`"resolved"`)) {
		t.Errorf("package-lock.json must not name a registry, which is up to the person who installs: %v", err)
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: OPA's clients for JavaScript are not tested: %v", err)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc", "clients.mjs"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=1")
	npm.Dir = dir
	if output, err := npm.CombinedOutput(); err != nil {
		if unreachable.Match(output) || ctx.Err() != nil {
			t.Skipf("SKIPPED: OPA's clients for JavaScript are not tested: npm ci: %v\n%s", err, output)
		}
		t.Fatalf("npm ci: %v\n%s", err, output)
	}
	runScripts(t, from, "CLIENTS="+dir)
}
