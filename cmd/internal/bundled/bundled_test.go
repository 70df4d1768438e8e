package bundled_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/bundled"
	"defenseclaw/engine"
	"defenseclaw/engine/bundle"
	"defenseclaw/engine/signature"
	"defenseclaw/engine/source"
	"defenseclaw/policies"

	"github.com/open-policy-agent/opa/v1/ast"
	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/compile"
	"github.com/open-policy-agent/opa/v1/rego"
)

// directory writes files, and loads them as a sidecar does.
func directory(t *testing.T, files map[string]string) (dir string, _ *engine.Generation) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	src, err := source.Open(dir, source.Config{Overlays: []string{"data-site.json"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	g, err := engine.Load(t.Context(), src, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir, g
}

func built(t *testing.T, g *engine.Generation, m bundled.Manifest, sign func([]bundle.File) []byte) []byte {
	t.Helper()
	files, err := bundled.Files(g, m)
	if err != nil {
		t.Fatal(err)
	}
	var signatures []byte
	if sign != nil {
		signatures = sign(files)
	}
	var out bytes.Buffer
	if err := bundle.Write(&out, files, signatures); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var policy = map[string]string{
	"p.rego": "package p\n\nx := data.limit + data.a.n\n", "q/q.rego": "package q\n\nimport data.p\n\ny if p.x > 3\n",
	"p_test.rego": "package p_test\n\ntest_it if data.p.x\n", "data.json": `{"limit": 4, "big": 12345678901234567890123, "<": "&"}`,
	"a/data.yaml": "n: 1\n", "data-site.json": `{"limit": 7}`, "data-other.json": `{"limit": 8}`, "b/data.json": "\xef\xbb\xbf" + `{"bom": true}`,
}

// ask is the whole of data as OPA has it.
func ask(t *testing.T, b *opabundle.Bundle) map[string]any {
	t.Helper()
	results, err := rego.New(rego.Query("data"), rego.ParsedBundle("b", b)).Eval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, ok := results[0].Expressions[0].Value.(map[string]any)
	if !ok {
		t.Fatal(results)
	}
	delete(all, "system")
	return all
}

// TestOPATakesWhatIsBuilt holds that OPA answers from a bundle what the engine answers from the directory, overlays included.
func TestOPATakesWhatIsBuilt(t *testing.T) {
	nested := map[string]string{}
	for name, text := range policy {
		nested["rego/"+name] = text
	}
	nested["elsewhere.rego"] = "package elsewhere"
	var first []byte
	for name, files := range map[string]map[string]string{"a directory": policy, "a directory with the folder rego": nested} {
		t.Run(name, func(t *testing.T) {
			_, g := directory(t, files)
			archive := built(t, g, bundled.Manifest{}, nil)
			if first == nil {
				first = archive
			}
			if !bytes.Equal(archive, first) {
				t.Error("the same policy gives other bytes")
			}
			theirs, err := opabundle.NewReader(bytes.NewReader(archive)).IncludeManifestInData(false).Read()
			if err != nil {
				t.Fatal(err)
			}
			if theirs.Manifest.Revision != g.Revision() || *theirs.Manifest.RegoVersion != 1 {
				t.Errorf("%s; the directory has %s", theirs.Manifest, g.Revision())
			}
			for name, v := range ask(t, &theirs) {
				want, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				ours, _, err := g.Decide(t.Context(), engine.Path{name}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := json.Marshal(ours); err != nil || !bytes.Equal(got, want) {
					t.Errorf("data.%s: %s; OPA has %s (%v)", name, got, want, err)
				}
			}
			if got := ask(t, &theirs)["q"]; !reflect.DeepEqual(got, map[string]any{"y": true}) {
				t.Errorf("data.q is %v", got)
			}
		})
	}
}

func TestTheDefaultPackIsABundle(t *testing.T) {
	g, err := engine.Load(t.Context(), policies.FS(), nil)
	if err != nil {
		t.Fatal(err)
	}
	archive := built(t, g, bundled.Manifest{}, nil)
	if _, err := opabundle.NewReader(bytes.NewReader(archive)).Read(); err != nil {
		t.Error(err)
	}
	if found := bundled.Inspect(t.Context(), "pack.tar.gz", archive, bundle.Limits{}, nil); found.Refused != nil || found.Name != "pack" {
		t.Error(found.Refused, found.Name)
	}
}

func keys(t *testing.T) (signer signature.Signer, public string, _ *signature.Release) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if signer, err = signature.NewSigner("release", "", "payments", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})); err != nil {
		t.Fatal(err)
	}
	trusted, err := signature.ParseKey("release", "", []byte(public))
	if err != nil {
		t.Fatal(err)
	}
	release, err := signature.NewRelease(signature.Config{Keys: []signature.Key{trusted}, Scope: "payments"})
	if err != nil {
		t.Fatal(err)
	}
	return signer, public, release
}

func TestOPAVerifiesWhatIsSigned(t *testing.T) {
	signer, public, release := keys(t)
	_, g := directory(t, policy)
	archive := built(t, g, bundled.Manifest{}, func(files []bundle.File) []byte {
		signatures, err := signer.SignBundle(files, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return signatures
	})
	found := bundled.Inspect(t.Context(), "b.tar.gz", archive, bundle.Limits{}, release.VerifyBundle)
	if found.Refused != nil || found.Signed.By != "release" || found.Signature.Files != len(found.All) {
		t.Errorf("%+v, %v", found.Signature, found.Refused)
	}
	config := opabundle.NewVerificationConfig(map[string]*opabundle.KeyConfig{"release": {Key: public, Algorithm: "ES256"}}, "release", "payments", nil)
	if _, err := opabundle.NewReader(bytes.NewReader(archive)).WithBundleVerificationConfig(config).Read(); err != nil {
		t.Error(err)
	}
	config.Scope = "other"
	if _, err := opabundle.NewReader(bytes.NewReader(archive)).WithBundleVerificationConfig(config).Read(); err == nil {
		t.Error("OPA takes a signature for another scope")
	}
}

// TestWhatOPABuildsIsTaken builds as opa build does, with each of its optimizations, and signs it as policy bundle sign does.
func TestWhatOPABuildsIsTaken(t *testing.T) {
	signer, _, release := keys(t)
	files := map[string]string{
		"p/p.rego": "package p\n\n# METADATA\n# entrypoint: true\nallow if { input.n > data.p.limit }\n", "p/data.json": `{"limit": 4}`,
		".manifest": `{"revision": "r1", "roots": ["p"], "metadata": {"by": "ann"}}`, "p/p_test.rego": "package p.test",
	}
	dir, _ := directory(t, files)
	for level := range 3 {
		var out bytes.Buffer
		c := compile.New().WithPaths(dir).WithAsBundle(true).WithOptimizationLevel(level).WithEntrypoints("p/allow").WithOutput(&out).WithRevision("r1").WithRegoVersion(ast.RegoV1)
		if err := c.Build(context.Background()); err != nil {
			t.Fatal(err)
		}
		found := bundled.Inspect(t.Context(), "b.tar.gz", out.Bytes(), bundle.Limits{}, nil)
		if found.Refused != nil || found.Bundle.Revision != "r1" || found.Signature != nil {
			t.Fatalf("level %d: %v, %+v", level, found.Refused, found.Bundle)
		}
		signatures, err := signer.SignBundle(found.All, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		var signed bytes.Buffer
		if err := bundle.Write(&signed, found.All, signatures); err != nil {
			t.Fatal(err)
		}
		again := bundled.Inspect(t.Context(), "b.tar.gz", signed.Bytes(), bundle.Limits{}, release.VerifyBundle)
		if again.Refused != nil || again.Revision != found.Revision || again.Signature.Expires.IsZero() {
			t.Errorf("level %d: %v, %s then %s", level, again.Refused, found.Revision, again.Revision)
		}
	}
}

func TestAManifestOfTheDirectoryIsKept(t *testing.T) {
	dir, _ := directory(t, map[string]string{".manifest": `{"revision": "7", "roots": ["p"], "metadata": {"by": "ann"}}`, "p.rego": "package p"})
	m, err := bundled.ReadManifest(os.DirFS(dir))
	if err != nil || m.Revision != "7" || len(m.Roots) != 1 || m.Metadata["by"] != "ann" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := bundled.ReadManifest(os.DirFS(t.TempDir())); err != nil {
		t.Error(err)
	}
	broken, _ := directory(t, map[string]string{".manifest": `{`, "p.rego": "package p"})
	if _, err := bundled.ReadManifest(os.DirFS(broken)); err == nil || !strings.HasPrefix(err.Error(), ".manifest: ") {
		t.Error(err)
	}
}
