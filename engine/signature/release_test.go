package signature_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine/signature"
)

const signed = ".signatures.json"

func TestASignedDirectoryIsVerified(t *testing.T) {
	dir := policy().write(t)
	key := rsaKey()
	policySigned := sign(t, signer(t, "release", scope, key), dir, time.Time{})
	files{signed: policySigned}.into(t, dir)
	v, _, err := verify(t, release(t, key, nil), dir, nil)
	if err != nil || v.By != "release" || !strings.HasPrefix(v.Fingerprint, "SHA256:") {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestWhatIsNotAsItWasSigned(t *testing.T) {
	key := rsaKey()
	s := signer(t, "release", scope, key)
	text := sign(t, s, policy().write(t), time.Time{})
	for name, c := range map[string]struct {
		files files
		want  []string
	}{
		"as signed":                      {policy(), nil},
		"white space in data":            {policy().with("data.json", "{\n\"limit\":\t4}"), nil},
		"a file of another kind":         {policy().with("README.md", "other"), nil},
		"a file of another kind is gone": {policy().without("README.md"), nil},
		"a changed byte":                 {policy().with("a.rego", "package a\n\nallow := data.limit > 2\n"), []string{"a.rego file_altered"}},
		"a changed number":               {policy().with("data.json", `{"limit": 5}`), []string{"data.json file_altered"}},
		"the last of equal keys counts":  {policy().with("data.json", `{"limit": 4, "limit": 5}`), []string{"data.json file_altered"}},
		"a changed test":                 {policy().with("a_test.rego", "package a_test\n"), []string{"a_test.rego file_altered"}},
		"an added module":                {policy().with("z.rego", "package z\n"), []string{"z.rego file_not_signed"}},
		"an added test":                  {policy().with("z_test.rego", "package z\n"), []string{"z_test.rego file_not_signed"}},
		"an added overlay":               {policy().with("data-site.json", `{"limit": 9}`), []string{"data-site.json file_not_signed"}},
		"added data":                     {policy().with("c/data.json", `{}`), []string{"c/data.json file_not_signed"}},
		"a missing module":               {policy().without("b/b.rego"), []string{"b/b.rego signed_file_missing"}},
		"a missing test":                 {policy().without("a_test.rego"), []string{"a_test.rego signed_file_missing"}},
		"missing data":                   {policy().without("b/data.yaml"), []string{"b/data.yaml signed_file_missing"}},
		"a moved module": {
			policy().without("b/b.rego").with("c.rego", "package b\n\nx := 1\n"), []string{"b/b.rego signed_file_missing", "c.rego file_not_signed"},
		},
		"a rego folder in front": {
			policy().with("rego/x.rego", "package x\n"), []string{"rego/x.rego file_not_signed"},
		},
		"a second file of signatures": {policy().with("b/"+signed, text), []string{"b/.signatures.json signature_invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := verify(t, release(t, key, nil), c.files.with(signed, text).write(t), nil)
			expectRefused(t, err, c.want...)
		})
	}
}

func TestAPolicyInTheFolderRegoIsVerifiedByItsPaths(t *testing.T) {
	key := rsaKey()
	in := files{"rego/a.rego": "package a\n", "rego/data.json": "{}", "other/z.rego": "package z\n"}
	in[signed] = sign(t, signer(t, "release", scope, key), in.write(t), time.Time{})
	_, _, err := verify(t, release(t, key, nil), in.write(t), nil)
	expectRefused(t, err)
	// Without the folder, what lies beside it would serve: it was signed, and not to serve.
	_, _, err = verify(t, release(t, key, nil), in.without("rego/a.rego").write(t), nil)
	expectRefused(t, err, "rego/a.rego signed_file_missing")
}

func TestWhoseSignatureItIs(t *testing.T) {
	key, other := rsaKey(), ecKey(t, elliptic.P256())
	dir := policy().write(t)
	now := time.Now()
	for name, c := range map[string]struct {
		text string
		says string
	}{
		"another key of the same name": {sign(t, signer(t, "release", scope, otherRSA()), dir, time.Time{}), `not what the key "release" signed`},
		"another algorithm":            {sign(t, signer(t, "release", scope, other), dir, time.Time{}), `not what the key "release" signed`},
		"an unknown key":               {sign(t, signer(t, "thief", scope, key), dir, time.Time{}), `the key "thief", which is not trusted; trusted is release`},
		"another scope":                {sign(t, signer(t, "release", "tests", key), dir, time.Time{}), `for the scope "tests"; "policy" was expected`},
		"expired":                      {sign(t, signer(t, "release", scope, key), dir, now.Add(-time.Hour)), "was good until"},
		"cut off":                      {sign(t, signer(t, "release", scope, key), dir, time.Time{})[:200], "no file of signatures"},
		"empty":                        {"", "no file of signatures"},
		"none":                         {`{"signatures": []}`, "0 signatures"},
		"two":                          {`{"signatures": ["a.b.c", "a.b.c"]}`, "2 signatures"},
		"a plugin":                     {`{"plugin": "mine", "signatures": ["a.b.c"]}`, `plugin "mine"`},
		"no token":                     {`{"signatures": ["a.b"]}`, "no JSON Web Token"},
		"alg none":                     {unsigned(t, `{"alg":"none","kid":"release"}`, ""), `not what the key "release" signed`},
		"no key id":                    {unsigned(t, `{"alg":"RS256"}`, "x"), "names no key"},
		"the public key as a secret":   {signedWithPublicKey(t, dir), `not what the key "release" signed`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := verify(t, release(t, key, nil), policy().with(signed, c.text).write(t), nil)
			expectRefused(t, err, signed+" signature_invalid")
			expectMessage(t, err, c.says)
		})
	}
}

// unsigned is a token with a header and a signature of one's choice.
func unsigned(t *testing.T, header, sig string) string {
	t.Helper()
	body := fmt.Sprintf(`{"files":[],"scope":%q}`, scope)
	b64 := base64.RawURLEncoding.EncodeToString
	text, err := json.Marshal(map[string]any{"signatures": []string{b64([]byte(header)) + "." + b64([]byte(body)) + "." + b64([]byte(sig))}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// signedWithPublicKey is the classic confusion: everybody knows the public key, and it is used as a secret.
func signedWithPublicKey(t *testing.T, dir string) string {
	t.Helper()
	_, public := pems(t, rsaKey())
	secret := []byte(strings.ReplaceAll(string(public), "-----BEGIN PUBLIC KEY-----", "-----PUBLIC KEY-----"))
	s, err := signature.NewSigner("release", "HS256", scope, secret)
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, s, dir, time.Time{})
}

func TestAMissingSignature(t *testing.T) {
	_, _, err := verify(t, release(t, rsaKey(), nil), policy().write(t), nil)
	expectRefused(t, err, signed+" signature_missing")
}

func TestASignatureThatIsNoFile(t *testing.T) {
	dir := policy().write(t)
	if err := os.Mkdir(filepath.Join(dir, signed), 0o755); err != nil {
		t.Fatal(err)
	}
	_, _, err := verify(t, release(t, rsaKey(), nil), dir, nil)
	expectRefused(t, err, signed+" signature_invalid")
}

func TestASignatureIsGoodInItsTime(t *testing.T) {
	key, until := rsaKey(), time.Now().Add(time.Hour)
	in := policy()
	in[signed] = sign(t, signer(t, "release", scope, key), in.write(t), until)
	dir := in.write(t)
	for after, good := range map[time.Duration]bool{-time.Minute: true, 30 * time.Second: true, 2 * time.Minute: false} {
		_, _, err := verify(t, release(t, key, func() time.Time { return until.Add(after) }), dir, nil)
		if (err == nil) != good {
			t.Errorf("%s after its end: %v", after, err)
		}
	}
}

// TestAnEditIsComparedWithItsOwnSignature: what was found before is not looked at again, and it must not hide an edit.
func TestAnEditIsComparedWithItsOwnSignature(t *testing.T) {
	key := rsaKey()
	r, s := release(t, key, nil), signer(t, "release", scope, key)
	in := policy()
	in[signed] = sign(t, s, in.write(t), time.Time{})
	dir := in.write(t)
	_, first, err := verify(t, r, dir, nil)
	expectRefused(t, err)

	next := in.with("b/b.rego", "package b\n\nx := 2\n")
	next.into(t, dir)
	_, second, err := verify(t, r, dir, first)
	expectRefused(t, err, "b/b.rego file_altered")
	next[signed] = sign(t, s, next.write(t), time.Time{})
	next.into(t, dir)
	_, second, err = verify(t, r, dir, second)
	expectRefused(t, err)

	in.without(signed).into(t, dir) // the older files with the newer signature
	_, _, err = verify(t, r, dir, second)
	expectRefused(t, err, "b/b.rego file_altered")
}

// TestLinksOfAConfigMap: Kubernetes mounts each file as a link into a hidden folder.
func TestLinksOfAConfigMap(t *testing.T) {
	key := rsaKey()
	in := files{"a.rego": "package a\n", "data.json": "{}", "also.rego": "package also\n"}
	in[signed] = sign(t, signer(t, "release", scope, key), in.write(t), time.Time{})
	dir := t.TempDir()
	in.into(t, filepath.Join(dir, "..2026"))
	if err := os.Symlink("..2026", filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for name := range in {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := verify(t, release(t, key, nil), dir, nil)
	expectRefused(t, err)
}

// TestALinkToAModuleIsNotMissed: the engine loads one of the two names.
func TestALinkToAModuleIsNotMissed(t *testing.T) {
	key := rsaKey()
	in := files{"a.rego": "package a\n"}
	dir := in.write(t)
	if err := os.Symlink("a.rego", filepath.Join(dir, "b.rego")); err != nil {
		t.Fatal(err)
	}
	copied := in.with("b.rego", in["a.rego"]) // as a tool that follows links lists them
	files{signed: sign(t, signer(t, "release", scope, key), copied.write(t), time.Time{})}.into(t, dir)
	_, _, err := verify(t, release(t, key, nil), dir, nil)
	expectRefused(t, err)
}
