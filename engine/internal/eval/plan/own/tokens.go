package own

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"

	"defenseclaw/engine/internal/eval/plan/value"
)

// tokens take what is well formed. io.jwt.decode_verify takes a token that is signed with a shared secret, where all holds:
// whatever is wrong with one, OPA's says so.
var tokens = map[string]Builtin{
	"io.jwt.decode":        jwtDecode,
	"io.jwt.decode_verify": jwtDecodeVerify,
	"io.jwt.verify_hs256":  jwtVerify("HS256"),
	"io.jwt.verify_hs384":  jwtVerify("HS384"),
	"io.jwt.verify_hs512":  jwtVerify("HS512"),
	"json.unmarshal":       jsonUnmarshal,
	"json.is_valid":        jsonIsValid,
}

var macs = map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}

// token is one of three parts.
type token struct {
	signed                     string // header and payload with the dot between them
	header, payload, signature string
}

func tokenOf(x *value.Node) (t token, ok bool) {
	text := x.Text()
	first, last := strings.IndexByte(text, '.'), strings.LastIndexByte(text, '.')
	if x.Kind() != value.String || len(text) > maxMatched || first == last || strings.Count(text, ".") > 2 {
		return token{}, false
	}
	return token{text[:last], text[:first], text[first+1 : last], text[last+1:]}, true
}

// unpadded decodes base64url without padding. What has some, or line breaks, which decoders pass over, is left to OPA's.
func (c *Call) unpadded(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "=\r\n") {
		return nil, false
	}
	c.arena.Count(len(text))
	b, err := base64.RawURLEncoding.DecodeString(text)
	return b, err == nil
}

// json reads a text as JSON; nil is for one that is left to OPA's.
func (c *Call) json(text string) *value.Node {
	if len(text) > maxBytes || !c.spend(len(text)/8) {
		return nil
	}
	c.arena.Count(len(text))
	t, ok := value.Scan(text)
	if !ok {
		return nil
	}
	return c.arena.FromText(t)
}

// object decodes a part of a token that is an object.
func (c *Call) object(part string) *value.Node {
	b, ok := c.unpadded(part)
	if !ok {
		return nil
	}
	x := c.json(string(b))
	if x == nil || x.Kind() != value.Object {
		return nil
	}
	return x
}

// header decodes the header of a token that holds no other token, is not encrypted, and has no parameter that it calls
// critical.
func (c *Call) header(t token) (header *value.Node, algorithm string) {
	header = c.object(t.header)
	if header == nil {
		return nil, ""
	}
	for i := range header.Len() {
		name, v := header.Pair(i)
		switch name.Text() {
		case "enc", "cty", "crit":
			return nil, ""
		case "alg", "kid", "typ":
			if v.Kind() != value.String {
				return nil, ""
			}
			if name.Text() == "alg" {
				algorithm = v.Text()
			}
		}
	}
	return header, algorithm
}

func jwtDecode(c *Call, x []*value.Node) *value.Node {
	if len(x) != 1 {
		return nil
	}
	t, ok := tokenOf(x[0])
	if !ok {
		return nil
	}
	header, _ := c.header(t)
	if header == nil {
		return nil
	}
	payload := c.object(t.payload)
	signature, ok := c.unpadded(t.signature)
	if payload == nil || !ok {
		return nil
	}
	out := c.arena.Empty(value.Array, 3)
	out.Append(header)
	out.Append(payload)
	out.Append(c.made(hex.EncodeToString(signature)))
	return out
}

func (c *Call) signedBy(t token, algorithm, secret string) (signed, ok bool) {
	signature, ok := c.unpadded(t.signature)
	if !ok || macs[algorithm] == nil || len(secret) > maxMatched || !c.spend(len(t.signed)/8) {
		return false, false
	}
	mac := hmac.New(macs[algorithm], []byte(secret))
	mac.Write([]byte(t.signed))
	return hmac.Equal(signature, mac.Sum(nil)), true
}

func jwtVerify(algorithm string) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if !areTexts(x, 2) {
			return nil
		}
		t, ok := tokenOf(x[0])
		if !ok {
			return nil
		}
		signed, ok := c.signedBy(t, algorithm, x[1].Text())
		if !ok {
			return nil
		}
		return value.Bool(signed)
	}
}

// constraints are those of a token that is signed with a shared secret.
type constraints struct {
	secret, alg, iss, aud string
	seconds               float64
}

func (c *Call) constraints(x *value.Node) (of constraints, ok bool) {
	const nanoseconds = 1e9
	of.seconds = float64(c.time.UnixNano()) / nanoseconds
	for i := range x.Len() {
		name, v := x.Pair(i)
		if name.Text() == "time" {
			t, ok := v.PlainInt()
			if !ok || t < 0 {
				return of, false
			}
			of.seconds = float64(t) / nanoseconds
		} else if where := of.text(name.Text()); where != nil && v.Kind() == value.String {
			*where = v.Text()
		} else {
			return of, false
		}
	}
	return of, of.secret != ""
}

// text is where the constraint of a name is kept; nil for one that is left to OPA's.
func (of *constraints) text(name string) *string {
	switch name {
	case "secret":
		return &of.secret
	case "alg":
		return &of.alg
	case "iss":
		return &of.iss
	case "aud":
		return &of.aud
	default:
		return nil
	}
}

func jwtDecodeVerify(c *Call, x []*value.Node) *value.Node {
	if len(x) != 2 || x[1].Kind() != value.Object {
		return nil
	}
	t, ok := tokenOf(x[0])
	if !ok {
		return nil
	}
	of, ok := c.constraints(x[1])
	if !ok {
		return nil
	}
	header, algorithm := c.header(t)
	if header == nil || of.alg != "" && of.alg != algorithm {
		return nil
	}
	if signed, ok := c.signedBy(t, algorithm, of.secret); !ok || !signed {
		return nil
	}
	payload := c.object(t.payload)
	if payload == nil || !of.hold(payload) {
		return nil
	}
	out := c.arena.Empty(value.Array, 3)
	out.Append(value.True)
	out.Append(header)
	out.Append(payload)
	return out
}

// The claims that constraints are about.
var claimIss, claimAud, claimExp, claimNbf = value.Name("iss"), value.Name("aud"), value.Name("exp"), value.Name("nbf")

func (of *constraints) hold(payload *value.Node) bool {
	if of.iss != "" {
		iss := payload.Get(claimIss)
		if iss == nil || iss.Kind() != value.String || iss.Text() != of.iss {
			return false
		}
	}
	if aud := payload.Get(claimAud); aud == nil && of.aud != "" || aud != nil && !of.isAudience(aud) {
		return false
	}
	if exp := payload.Get(claimExp); exp != nil {
		if at, ok := seconds(exp); !ok || of.seconds >= at {
			return false
		}
	}
	if nbf := payload.Get(claimNbf); nbf != nil {
		if at, ok := seconds(nbf); !ok || of.seconds < at {
			return false
		}
	}
	return true
}

func (of *constraints) isAudience(aud *value.Node) bool {
	if aud.Kind() == value.String {
		return aud.Text() == of.aud
	}
	if aud.Kind() != value.Array {
		return false
	}
	for i := range aud.Len() {
		if e := aud.Elem(i); e.Kind() == value.String && e.Text() == of.aud {
			return true
		}
	}
	return false
}

// seconds takes integers that a float64 holds exactly: comparing them is comparing what OPA writes in decimal.
func seconds(n *value.Node) (float64, bool) {
	const exact = 1 << 53
	i, ok := n.PlainInt()
	return float64(i), ok && -exact < i && i < exact
}

func jsonUnmarshal(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 1) {
		return nil
	}
	return c.json(x[0].Text())
}

func jsonIsValid(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 1) || len(x[0].Text()) > maxBytes || !c.spend(len(x[0].Text())/8) {
		return nil
	}
	if _, ok := value.Scan(x[0].Text()); ok {
		return value.True
	}
	return nil
}
