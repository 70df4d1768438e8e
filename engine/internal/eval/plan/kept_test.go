package plan_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

const keeping = `package p
import rego.v1
routes contains r.name if {
	some r in data.routes
	glob.match(r.pattern, ["/"], input.path)
	regex.match(r.host, input.host)
}
inside contains n if {
	some n in data.networks
	net.cidr_contains(n, input.address)
}
version := semver.compare(input.version, "1.10.0")
all := {"routes": routes, "inside": inside, "version": version}
`

const keptData = `{"routes": [{"name": "a", "pattern": "/a/*", "host": "^[a-z]+\\.example\\.com$"}, {"name": "b", "pattern": "/**", "host": "example"}, {"name": "c", "pattern": "/[a-", "host": "x"}],
	"networks": ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "nonsense"]}`

// Decisions at the same time use what one of them compiled; a pattern that is none is an error of each.
func TestDecisionsShareWhatIsKept(t *testing.T) {
	c, ref := mustCorpus(t, keptData, keeping), ast.MustParseRef("data.p.all")
	program, err := c.program(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	inputs := []*ast.Term{
		ast.MustParseTerm(`{"path": "/a/b", "host": "www.example.com", "address": "10.1.2.3", "version": "1.9.0"}`),
		ast.MustParseTerm(`{"path": "/b/c/d", "host": "éxample.example", "address": "2001:db8::1", "version": "v2.0.0-rc.1"}`),
		ast.MustParseTerm(`{"path": "", "host": "", "address": "10.0.0.0/9", "version": "1.10.0"}`),
		ast.MustParseTerm(`{"path": 1, "host": null, "address": "x", "version": "1"}`),
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				c.sameAsTopdown(t, program, ref, inputs[i%len(inputs)])
			}
		})
	}
	wg.Wait()
}

// A token that is signed with a private key is verified by OPA's builtin, with keys that are parsed once.
func TestTokensAreVerifiedWithKeysOfTheData(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(`{"sub":"u"}`))
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	token := text + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	data, _ := json.Marshal(object{"key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))})
	c, ref := mustCorpus(t, string(data), `package p
import rego.v1
all := [io.jwt.verify_es256(input.token, data.key), io.jwt.decode_verify(input.token, {"cert": data.key})]
`), ast.MustParseRef("data.p.all")
	program, err := c.program(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, input := range []string{token, token, token + "A", text + "." + encode(make([]byte, 64)), "x"} {
		if decided := c.sameAsTopdown(t, program, ref, term(object{"token": input})); !decided && input == token {
			t.Error("it is left to topdown")
		}
	}
}
