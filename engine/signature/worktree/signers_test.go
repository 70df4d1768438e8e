package worktree_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine/signature/worktree"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

func TestKeysOfEachKind(t *testing.T) {
	payload, at := []byte("tree …"), time.Now()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]sshSigner{
		"ed25519": newSSH(t, "ann", "", edKey(t)), "ecdsa": newSSH(t, "ann", "", ecKey(t)), "rsa": newSSH(t, "ann", "", rsaKey),
	} {
		got, err := allowed(t, s).Verify(payload, s.git(t)(payload), at)
		if err != nil || got.Name != "ann" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, err := allowed(t, s).Verify([]byte("other"), s.git(t)(payload), at); err == nil {
			t.Errorf("%s: another text is signed", name)
		}
	}
	e := pgpKey(t)
	got, err := keyring(t, e).Verify(payload, signPGP(t, e)(payload), at)
	if err != nil || got.Name != "Ann <ann@example.org>" || !keyring(t, e).Trusts(got.Fingerprint) {
		t.Errorf("OpenPGP: %+v, %v", got, err)
	}
	_, err = keyring(t, pgpKey(t)).Verify(payload, signPGP(t, e)(payload), at)
	expectMessage(t, err, "is not signed by a key of the keyring")
}

func TestAnOpenPGPKeyThatExpired(t *testing.T) {
	old := &packet.Config{Time: func() time.Time { return time.Now().Add(-48 * time.Hour) }, KeyLifetimeSecs: 3600}
	e, err := openpgp.NewEntity("Ann", "", "ann@example.org", old)
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte("tree …")
	var out bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&out, e, bytes.NewReader(payload), old); err != nil {
		t.Fatal(err)
	}
	_, err = keyring(t, e).Verify(payload, out.Bytes(), time.Now())
	expectMessage(t, err, "expired")
}

func TestWhenAndForWhatAKeyIsGood(t *testing.T) {
	payload, key := []byte("tree …"), edKey(t)
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for options, says := range map[string]string{
		`namespaces="git"`:                         "",
		`namespaces="file,g?t"`:                    "",
		`namespaces="file"`:                        "namespaces file; git was expected",
		`namespaces="*,!git"`:                      "git was expected",
		`valid-after="20261101Z"`:                  "",
		`valid-after="202611011201Z"`:              "is good from",
		`valid-before="20261101120001Z"`:           "",
		`valid-before="20261101120000Z"`:           "was good until",
		`valid-before="20250101",namespaces="git"`: "was good until",
	} {
		s := newSSH(t, "ann@example.org,*@example.com", options, key)
		_, err := allowed(t, s).Verify(payload, s.git(t)(payload), at)
		if says == "" && err != nil {
			t.Errorf("%s: %v", options, err)
		}
		if says != "" {
			expectMessage(t, err, says)
		}
	}
}

func TestFilesOfSignersThatAreRefused(t *testing.T) {
	line := newSSH(t, "ann", "", edKey(t)).line
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this Go makes no weak key:", err)
	}
	for text, says := range map[string]string{
		"":                      "it names nobody",
		"# nobody\n":            "it names nobody",
		"ann\n":                 "line 1: expected principals",
		line + "ann ssh-x AAAA": "line 2: expected principals",
		`"ann` + line:           "not closed",
		"ann cert-authority " + strings.TrimPrefix(line, "ann "):     `"cert-authority" is not taken`,
		`ann valid-after="soon" ` + strings.TrimPrefix(line, "ann "): `"soon" is no time`,
		newSSH(t, "weak", "", weak).line:                             "1024 bits",
	} {
		_, err := worktree.ParseAllowedSigners([]byte(text))
		expectMessage(t, err, says)
	}
	if _, err := worktree.ParseAllowedSigners([]byte(`"Ann Other" ` + strings.TrimPrefix(line, "ann "))); err != nil {
		t.Error(err)
	}
}

func TestKeyringsThatAreRefused(t *testing.T) {
	e := pgpKey(t)
	var private, public bytes.Buffer
	if err := e.SerializePrivate(&private, nil); err != nil {
		t.Fatal(err)
	}
	_, err := worktree.ParseKeyring(private.Bytes())
	expectMessage(t, err, "private key")
	for _, text := range []string{"", "ann", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"} {
		if _, err := worktree.ParseKeyring([]byte(text)); err == nil {
			t.Errorf("%q is a keyring", text)
		}
	}
	out, err := armor.Encode(&public, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serialize(out); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := worktree.ParseKeyring(public.Bytes()); err != nil || !s.Trusts(strings.ToUpper(hexOf(e.PrimaryKey.Fingerprint))) {
		t.Errorf("armored: %v", err)
	}
}

// TestACommitOfOpenPGP goes through a repository.
func TestACommitOfOpenPGP(t *testing.T) {
	r, ann, _ := policy(t)
	e := pgpKey(t)
	r.write("policies/p.rego", "package p\n\nx := 2\n")
	head := r.commit(signPGP(t, e))
	r.tag("v1", "v1", head, "commit", signPGP(t, e))
	dir := filepath.Join(r.dir, "policies")
	for _, asTag := range []bool{false, true} {
		_, err := verify(t, tree(t, worktree.Config{Dir: dir, Tag: asTag, Signers: allowed(t, ann).Join(keyring(t, e))}), dir)
		expectRefused(t, err)
		_, err = verify(t, tree(t, worktree.Config{Dir: dir, Tag: asTag, Signers: keyring(t, pgpKey(t))}), dir)
		expectRefused(t, err, "signature_invalid")
	}
}
