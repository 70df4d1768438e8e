package signature_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/signature"
	"defenseclaw/engine/source"
)

// files are those of a directory, by path.
type files map[string]string

func policy() files {
	return files{
		"a.rego": "package a\n\nallow := data.limit > 3\n", "b/b.rego": "package b\n\nx := 1\n", "data.json": `{"limit": 4}`,
		"b/data.yaml": "list: [1, 2]\n", "a_test.rego": "package a_test\n\nimport data.a\n\ntest_it if a.allow\n", "README.md": "read me",
	}
}

func (f files) with(path, text string) files {
	f = maps.Clone(f)
	f[path] = text
	return f
}

func (f files) without(path string) files {
	f = maps.Clone(f)
	delete(f, path)
	return f
}

// write makes a directory of the files.
func (f files) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	f.into(t, dir)
	return dir
}

func (f files) into(t *testing.T, dir string) {
	t.Helper()
	for p, text := range f {
		p = filepath.Join(dir, p)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, dir string) *source.Dir {
	t.Helper()
	src, err := source.Open(dir, source.Config{Overlays: []string{"data-site.json"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// Keys of RSA take a moment to make.
var rsaKey, otherRSA = sync.OnceValue(newRSA), sync.OnceValue(newRSA)

func newRSA() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pems(t *testing.T, key crypto.Signer) (private, public []byte) {
	t.Helper()
	p8, err := x509.MarshalPKCS8PrivateKey(key)
	pub, err2 := x509.MarshalPKIXPublicKey(key.Public())
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p8}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})
}

const scope = "policy"

func signer(t *testing.T, id, scope string, key crypto.Signer) signature.Signer {
	t.Helper()
	private, _ := pems(t, key)
	s, err := signature.NewSigner(id, "", scope, private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t *testing.T, s signature.Signer, dir string, expires time.Time) string {
	t.Helper()
	content, _, err := s.Sign(t.Context(), open(t, dir), expires)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// release trusts the key under the name release.
func release(t *testing.T, key crypto.Signer, now func() time.Time) *signature.Release {
	t.Helper()
	_, public := pems(t, key)
	k, err := signature.ParseKey("release", "", public)
	if err != nil {
		t.Fatal(err)
	}
	r, err := signature.NewRelease(signature.Config{Keys: []signature.Key{k}, Scope: scope, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verify reads a directory as the engine does.
func verify(t *testing.T, r *signature.Release, dir string, earlier *source.Reading) (engine.Verified, *source.Reading, error) {
	t.Helper()
	src := open(t, dir)
	reading, err := source.Read(t.Context(), src, source.Options{TestsAside: true, Earlier: source.Earlier{Previous: earlier}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Verify(t.Context(), src, reading)
	return v, reading, err
}

// refusals lists file and code of an error.
func refusals(t *testing.T, err error) []string {
	t.Helper()
	var list diagnostic.List
	if err != nil && !errors.As(err, &list) {
		t.Fatalf("%v is no list of diagnostics", err)
	}
	found := []string{}
	for _, d := range list {
		found = append(found, d.File+" "+d.Code)
	}
	return found
}

func expectRefused(t *testing.T, err error, want ...string) {
	t.Helper()
	if got := refusals(t, err); !slices.Equal(got, want) {
		t.Errorf("refused for %q (%v), want %q", got, err, want)
	}
}

func expectMessage(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error %v, want one that says %q", err, part)
	}
}

var _ fs.FS = (*source.Dir)(nil)
