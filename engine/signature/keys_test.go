package signature_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine/signature"
)

func TestKeysOfEachAlgorithm(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	type pair struct{ private, public []byte }
	of := func(key *ecdsa.PrivateKey) pair { private, public := pems(t, key); return pair{private, public} }
	private, public := pems(t, rsaKey())
	keys := map[string]pair{
		"ES256": of(ecKey(t, elliptic.P256())), "ES384": of(ecKey(t, elliptic.P384())), "ES512": of(ecKey(t, elliptic.P521())),
		"HS256": {secret, secret}, "HS384": {secret, secret}, "HS512": {secret, secret},
	}
	for _, a := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		keys[a] = pair{private, public}
	}
	for algorithm, key := range keys {
		t.Run(algorithm, func(t *testing.T) {
			s, err := signature.NewSigner("k", algorithm, scope, key.private)
			if err != nil {
				t.Fatal(err)
			}
			k, err := signature.ParseKey("k", algorithm, key.public)
			if err != nil {
				t.Fatal(err)
			}
			r, err := signature.NewRelease(signature.Config{Keys: []signature.Key{k}, Scope: scope})
			if err != nil {
				t.Fatal(err)
			}
			in := policy()
			in[signed] = sign(t, s, in.write(t), time.Time{})
			if v, _, err := verify(t, r, in.write(t), nil); err != nil || !r.Trusts(v.Fingerprint) {
				t.Errorf("%+v: %v", v, err)
			}
			_, _, err = verify(t, r, in.with("a.rego", "package a\n").write(t), nil)
			expectRefused(t, err, "a.rego file_altered")
		})
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	private, public := pems(t, rsaKey())
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this Go makes no weak key:", err)
	}
	_, weakPublic := pems(t, weak)
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_ = edPublic
	_, edText := pems(t, edPrivate)
	for name, c := range map[string]struct {
		id, algorithm string
		content       []byte
		says          string
	}{
		"private":                    {"k", "", private, "private key"},
		"no PEM":                     {"k", "", []byte("secret"), "no PEM"},
		"two":                        {"k", "", append(public, public...), "more than one"},
		"weak":                       {"k", "", weakPublic, "1024 bits"},
		"ed25519":                    {"k", "", edText, "RSA, or ECDSA"},
		"another algorithm":          {"k", "ES256", public, "RS256 or"},
		"none":                       {"k", "none", public, "RS256 or"},
		"a short secret":             {"k", "HS256", []byte("short"), "at least 32"},
		"a public key as secret":     {"k", "HS256", public, "no secret"},
		"an unknown HMAC":            {"k", "HS1", []byte(strings.Repeat("s", 32)), "HS256, HS384"},
		"no name":                    {"", "", public, "no name"},
		"a certificate that is none": {"k", "", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "x509"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := signature.ParseKey(c.id, c.algorithm, c.content)
			expectMessage(t, err, c.says)
		})
	}
}

func TestAReleaseNeedsAScopeAndKeys(t *testing.T) {
	_, public := pems(t, rsaKey())
	k, err := signature.ParseKey("k", "", public)
	if err != nil {
		t.Fatal(err)
	}
	for says, cfg := range map[string]signature.Config{
		"a scope is required":     {Keys: []signature.Key{k}},
		"a key is required":       {Scope: scope},
		`two keys are called "k"`: {Keys: []signature.Key{k, k}, Scope: scope},
	} {
		_, err := signature.NewRelease(cfg)
		expectMessage(t, err, says)
	}
}
