// Package opabundles makes bundles as OPA's programs do, for tests.
package opabundles

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"
)

// Secret is the key by which [Signed] signs, as HS256. Its name is "ours".
const Secret = "a secret that is long enough for this"

// Packed is the archive of a bundle of files, each a path and a content.
func Packed(t testing.TB, files ...[2]string) []byte {
	t.Helper()
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	w := tar.NewWriter(gz)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o600, Size: int64(len(f[1])), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = w.Write([]byte(f[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Manifest is the file of a manifest.
func Manifest(revision string, roots ...string) [2]string {
	text, _ := json.Marshal(opabundle.Manifest{Revision: revision, Roots: &roots})
	return [2]string{".manifest", string(text)}
}

// Signed are files, and before them the signature of all of them.
func Signed(t testing.TB, scope string, files ...[2]string) [][2]string {
	t.Helper()
	claims := filepath.Join(t.TempDir(), "claims.json")
	if err := os.WriteFile(claims, []byte(`{"scope": "`+scope+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var infos []opabundle.FileInfo
	for _, f := range files {
		infos = append(infos, opabundle.NewFile(f[0], hashOf(t, f), "SHA-256"))
	}
	token, err := opabundle.GenerateSignedToken(infos, opabundle.NewSigningConfig(Secret, "HS256", claims), "ours")
	if err != nil {
		t.Fatal(err)
	}
	return append([][2]string{{".signatures.json", `{"signatures": ["` + token + `"]}`}}, files...)
}

// hashOf is a file's hash, by its value if it has one.
func hashOf(t testing.TB, file [2]string) string {
	t.Helper()
	hasher, err := opabundle.NewSignatureHasher(opabundle.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	var value any = []byte(file[1])
	if opabundle.IsStructuredDoc(file[0]) {
		if err := json.Unmarshal([]byte(file[1]), &value); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := hasher.HashFile(value)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum)
}
