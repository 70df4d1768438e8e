package own_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"
)

const secret = "the secret of the tests"

// signed is a token of these parts, as they are.
func signed(algorithm, header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(header)) + "." + encode([]byte(payload))
	mac := hmac.New(map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}[algorithm], []byte(secret))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

var (
	algorithms = []string{"HS256", "HS384", "HS512"}
	headers    = []string{
		`{"alg":"HS256"}`, `{"alg":"HS256","typ":"JWT","kid":"k"}`, `{"alg":"HS384"}`, `{"alg":"HS512", "x": [1, {"y": null}]}`, `{"alg":"none"}`, `{}`, `{"alg":""}`,
		`{"alg":"HS256","cty":"JWT"}`, `{"alg":"HS256","cty":"text"}`, `{"alg":"HS256","crit":["x"],"x":1}`, `{"alg":"HS256","crit":["alg"]}`, `{"alg":"HS256","typ":1}`,
		`{"alg":"HS256","enc":"A"}`, `{"alg":"HS512","alg":"HS256"}`, `{"alg":"HS256","alg":"HS512"}`, `{"alg":"RS256"}`, `["alg"]`, `{"alg":"HS256"} `, `{"alg":"HS256"`, `{"alg":"HS\u0032\u0035\u0036"}`,
	}
	payloads = []string{
		`{}`, `{"iss":"i","aud":"a","exp":4102444800,"sub":"é"}`, `{"iss":"j"}`, `{"iss":1}`, `{"aud":["b","a"]}`, `{"aud":["b",1]}`, `{"aud":1}`, `{"exp":1}`, `{"exp":1700000000}`, `{"exp":1700000001}`,
		`{"exp":1700000000.5}`, `{"exp":"4102444800"}`, `{"exp":1e400}`, `{"exp":9007199254740993}`, `{"nbf":1700000000}`, `{"nbf":1700000001}`, `{"nbf":4102444800}`, `{"nbf":null}`, `[]`, `null`, `{"a":1,"a":2}`, `{"a":1.0,"b":1e2}`, "\xff", `{"a":"\ud800"}`,
	}
	limits = []string{
		`{"secret": $}`, `{"secret": $, "alg": "HS256"}`, `{"secret": $, "alg": "HS512"}`, `{"secret": $, "iss": "i"}`, `{"secret": $, "aud": "a"}`, `{"secret": $, "iss": "i", "aud": "a", "alg": "HS256"}`,
		`{"secret": $, "time": 1700000000000000000}`, `{"secret": $, "time": 0}`, `{"secret": $, "time": -1}`, `{"secret": $, "time": 1.7e18}`, `{"secret": $, "time": 1699999999999999999}`, `{"secret": ""}`, `{"secret": "other"}`,
		`{}`, `{"secret": $, "what": 1}`, `{"secret": $, "cert": $}`, `{"secret": $, "iss": ""}`, `{"secret": $, "aud": ""}`, `{"secret": 1}`, `{"secret": $, "alg": 1}`,
	}
)

func limit(text string) *ast.Term {
	return ast.MustParseTerm(strings.ReplaceAll(text, "$", strconv.Quote(secret)))
}

func TestTokensAreVerifiedAsOPAsDoes(t *testing.T) {
	var c caller
	taken := map[string]int{}
	try := func(name string, terms ...*ast.Term) {
		for _, asData := range []bool{true, false} {
			if c.compare(t, name, terms, asData) {
				taken[name]++
			}
		}
	}
	for _, algorithm := range algorithms {
		for _, header := range headers {
			for _, payload := range payloads {
				token := ast.StringTerm(signed(algorithm, header, payload))
				try("io.jwt.decode", token)
				try("io.jwt.verify_hs256", token, ast.StringTerm(secret))
				for _, l := range limits {
					try("io.jwt.decode_verify", token, limit(l))
				}
			}
		}
	}
	for _, name := range []string{"io.jwt.decode", "io.jwt.verify_hs256", "io.jwt.decode_verify"} {
		if taken[name] < 20 {
			t.Errorf("%s takes %d", name, taken[name])
		}
	}
}

func TestTokensThatWereChangedAreVerifiedAsOPAsDoes(t *testing.T) {
	var c caller
	rapid.Check(t, func(t *rapid.T) {
		algorithm := rapid.SampledFrom(algorithms).Draw(t, "algorithm")
		text := []byte(signed(algorithm, `{"alg":"`+algorithm+`"}`, rapid.SampledFrom(payloads).Draw(t, "payload")))
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			text[at] = rapid.SampledFrom([]byte("aA_-=+/.\n\r \xff")).Draw(t, "byte")
		}
		token := ast.StringTerm(string(text) + rapid.SampledFrom([]string{"", "=", "==", "\n"}).Draw(t, "end"))
		for _, name := range []string{"io.jwt.verify_hs256", "io.jwt.verify_hs384", "io.jwt.verify_hs512"} {
			c.compare(t, name, []*ast.Term{token, ast.StringTerm(secret)}, false)
		}
		c.compare(t, "io.jwt.decode", []*ast.Term{token}, false)
		c.compare(t, "io.jwt.decode_verify", []*ast.Term{token, limit(rapid.SampledFrom(limits).Draw(t, "limit"))}, false)
	})
}
