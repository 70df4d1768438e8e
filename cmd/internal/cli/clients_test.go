package cli

import (
	"bytes"
	"context"
	"encoding/json"
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
	dir := installed(t, from, "clients.mjs")
	runScripts(t, from, "CLIENTS="+dir)
}

// TestClientsForJavaScriptFromTheOpenAPIDocument has a validator of npm read openapi.yaml, generates a client from it, has
// the TypeScript compiler check a program that uses the client, and runs the program. It is skipped as the above.
func TestClientsForJavaScriptFromTheOpenAPIDocument(t *testing.T) {
	const from, document = "testdata/typescript", "../../../api/openapi.yaml"
	dir := installed(t, from, "client.ts", "tsconfig.json")
	copyInto(t, dir, document)
	for _, command := range [][]string{
		{"validate-api", "openapi.yaml"}, {"openapi-typescript", "openapi.yaml", "--output", "api.d.ts"}, {"tsc"},
	} {
		program := exec.CommandContext(t.Context(), filepath.Join("node_modules", ".bin", command[0]), command[1:]...)
		program.Dir = dir
		if output, err := program.CombinedOutput(); err != nil || bytes.Contains(output, []byte(`"valid": false`)) {
			t.Fatalf("%s: %v\n%s", command, err, output)
		}
	}
	runScripts(t, from, "CLIENTS="+dir)
}

// installed is a directory with files of from and the packages that its lock names.
func installed(t *testing.T, from string, files ...string) string {
	t.Helper()
	if lock, err := os.ReadFile(from + "/package-lock.json"); err != nil || bytes.Contains(lock, []byte(`"resolved"`)) {
		t.Errorf("%s/package-lock.json must not name a registry, which is up to the person who installs: %v", from, err)
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: clients for JavaScript are not tested: %v", err)
		}
	}
	dir := t.TempDir()
	for _, name := range append(files, "package.json", "package-lock.json", ".npmrc") {
		copyInto(t, dir, filepath.Join(from, name))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=1")
	npm.Dir = dir
	if output, err := npm.CombinedOutput(); err != nil {
		if unreachable.Match(output) || ctx.Err() != nil {
			t.Skipf("SKIPPED: clients for JavaScript are not tested: npm ci: %v\n%s", err, output)
		}
		t.Fatalf("npm ci: %v\n%s", err, output)
	}
	return dir
}

// copyInto copies a file into a directory.
func copyInto(t *testing.T, dir, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestTheDevContainerIsReadByItsOwnProgram has the reference program of dev containers read what init writes. A container is not made:
// what stands for Docker answers that there is none. It is skipped as the above.
func TestTheDevContainerIsReadByItsOwnProgram(t *testing.T) {
	dir := installed(t, "testdata/devcontainer")
	project := filepath.Join(dir, "project")
	if err := os.CopyFS(filepath.Join(project, ".devcontainer"), os.DirFS("starter/dot_devcontainer")); err != nil {
		t.Fatal(err)
	}
	docker := filepath.Join(dir, "docker")
	if err := os.WriteFile(docker, []byte("#!/bin/sh\n"), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	program := exec.CommandContext(t.Context(), filepath.Join(dir, "node_modules", ".bin", "devcontainer"),
		"read-configuration", "--workspace-folder", project, "--docker-path", docker)
	output, err := program.Output()
	var read struct {
		Configuration struct {
			Build struct{ Dockerfile string }
		}
	}
	if err == nil {
		err = json.Unmarshal(output, &read)
	}
	file := filepath.Join(project, ".devcontainer", read.Configuration.Build.Dockerfile)
	if info, statErr := os.Stat(file); err != nil || statErr != nil || !info.Mode().IsRegular() {
		t.Fatalf("%v, %v: it read %s", err, statErr, output)
	}
}
