package signature_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// opa is the path of OPA's program: OPA_BIN, or opa in the path.
func opa(t *testing.T) string {
	t.Helper()
	if named := os.Getenv("OPA_BIN"); named != "" {
		return named
	}
	found, err := exec.LookPath("opa")
	if err != nil {
		t.Skip("SKIPPED: there is no opa in the path, and OPA_BIN names none: nothing compares with OPA's own program")
	}
	return found
}

func run(t *testing.T, dir, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestWhatOPASignsIsVerified(t *testing.T) {
	program, key := opa(t), rsaKey()
	dir, beside := policy().write(t), t.TempDir()
	private, _ := pems(t, key)
	files{"key.pem": string(private), "claims.json": `{"keyid": "release", "scope": "` + scope + `"}`}.into(t, beside)
	out, err := run(t, dir, program, "sign", "--bundle", ".", "--signing-key", filepath.Join(beside, "key.pem"), "--claims-file", filepath.Join(beside, "claims.json"))
	if err != nil {
		t.Fatal(err, out)
	}
	_, _, err = verify(t, release(t, key, nil), dir, nil)
	expectRefused(t, err)
	files{"a.rego": "package a\n"}.into(t, dir)
	_, _, err = verify(t, release(t, key, nil), dir, nil)
	expectRefused(t, err, "a.rego file_altered")
}

func TestOPAVerifiesWhatIsSigned(t *testing.T) {
	program, key := opa(t), rsaKey()
	dir, beside := policy().with(".manifest", `{"roots": [""]}`).write(t), t.TempDir()
	_, public := pems(t, key)
	files{"key.pem": string(public)}.into(t, beside)
	files{signed: sign(t, signer(t, "release", scope, key), dir, time.Time{})}.into(t, dir)
	build := func() (string, error) {
		archive(t, dir, filepath.Join(beside, "signed.tar.gz")) // OPA has other names for the files of a directory
		return run(t, beside, program, "build", "--bundle", "signed.tar.gz", "--verification-key", filepath.Join(beside, "key.pem"),
			"--verification-key-id", "release", "--scope", scope, "--output", filepath.Join(beside, "bundle.tar.gz"))
	}
	if out, err := build(); err != nil {
		t.Fatal(err, out)
	}
	files{"data.json": `{"limit": 5}`}.into(t, dir)
	if out, err := build(); err == nil || !strings.Contains(out, "digest mismatch") {
		t.Errorf("an altered file: %v %s", err, out)
	}
}

// archive is what a bundle is shipped as.
func archive(t *testing.T, dir, to string) {
	t.Helper()
	var content bytes.Buffer
	gz := gzip.NewWriter(&content)
	out := tar.NewWriter(gz)
	if err := errors.Join(out.AddFS(os.DirFS(dir)), out.Close(), gz.Close(), os.WriteFile(to, content.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestSigningListsWhatServes(t *testing.T) {
	in := policy().with(".hidden/x.rego", "package x\n").with(".secret", "s").with(".manifest", "{}").with("data-sandbox.json", "{}")
	_, names, err := signer(t, "release", scope, rsaKey()).Sign(t.Context(), open(t, in.write(t)), time.Time{})
	want := []string{".manifest", "README.md", "a.rego", "a_test.rego", "b/b.rego", "b/data.yaml", "data-sandbox.json", "data.json"}
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, err)
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	s := signer(t, "release", scope, rsaKey())
	_, _, err := s.Sign(t.Context(), open(t, policy().with("data.json", "{").write(t)), time.Time{})
	expectMessage(t, err, "data.json")
	dir := policy().write(t)
	if err := errors.Join(os.Remove(filepath.Join(dir, "a.rego")), os.Mkdir(filepath.Join(dir, "a.rego"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, names, err := s.Sign(t.Context(), open(t, dir), time.Time{}); err != nil || slices.Contains(names, "a.rego") {
		t.Errorf("a folder called like a module: %q, %v", names, err)
	}
}
