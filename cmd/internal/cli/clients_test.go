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

// unreachable is what npm says when it is not the lock or the packages that are at fault.
var unreachable = regexp.MustCompile(`\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED|E401|E403|E407|E429|E5\d\d)\b`)

// TestOPAsClientsForJavaScript runs them for real. Only what is not there skips it: node, npm, or the packages.
func TestOPAsClientsForJavaScript(t *testing.T) {
	const from = "testdata/clients"
	if lock, err := os.ReadFile(from + "/package-lock.json"); err != nil || bytes.Contains(lock, []byte(`"resolved"`)) {
		t.Errorf("package-lock.json says where packages come from, which is the affair of whoever installs them: %v", err)
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
	if said, err := npm.CombinedOutput(); err != nil {
		if unreachable.Match(said) || ctx.Err() != nil {
			t.Skipf("SKIPPED: OPA's clients for JavaScript are not tested: npm ci: %v\n%s", err, said)
		}
		t.Fatalf("npm ci: %v\n%s", err, said)
	}
	runScripts(t, from, "CLIENTS="+dir)
}
