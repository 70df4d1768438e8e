package gate

import (
	"crypto/sha256"
	"crypto/subtle"
	"iter"
	"net/http"
	"strings"
	"time"
)

// Headers that clients send, spelled as keys of [http.Header].
const (
	HeaderClient = "X-Defenseclaw-Client"
	HeaderToken  = "X-Defenseclaw-Token" //nolint:gosec // the name of a header
	HeaderAuth   = "X-Dc-Auth"
)

// DefaultName is the name of the token that the settings give.
const DefaultName = "default"

// Digest is the SHA-256 of a token. Tokens are random texts of 256 bits, so one round without a salt is enough:
// it leaves nothing to guess. Slow hashes are for passwords.
type Digest [sha256.Size]byte

// DigestOf returns the digest of a token.
func DigestOf(token string) Digest { return sha256.Sum256([]byte(token)) }

// Token is what is kept of a token: who it was made for, and what it may do.
type Token struct {
	Name    string
	Scopes  Scopes
	Expires time.Time // zero: never
}

// Caller is the sender of a request that passed the gate.
type Caller struct {
	Name   string // of its token or user; the actor in every record of what it does
	Scopes Scopes
	Secret string // the token itself, which system.authz gets as identity
	User   string // such as "uid:1000", if the user of a Unix socket was let in without a token; then Secret is empty

	digest Digest
}

// caller finds the first token of a request that is valid. It stands against callers that were given none.
//
// Some users need no token over a Unix socket. A token that they present all the same is judged: a script whose token
// was revoked must not get more than it had.
//
// The time that it takes says nothing of a token: digests are compared. The default token's is compared in constant
// time. The others are found by a map of digests, whose order an attacker cannot search byte by byte, since he would need
// tokens with a digest of his choice.
func (g *Gate) caller(r *http.Request) (Caller, bool) {
	for secret := range Tokens(r.Header) {
		digest := DigestOf(secret)
		if token, ok := g.lookUp(digest); ok {
			return Caller{Name: token.Name, Scopes: token.Scopes, Secret: secret, digest: digest}, true
		}
	}
	if !presentsToken(r) {
		return callingPeer(r.Context())
	}
	return Caller{}, false
}

// Anonymous reports whether a request presents no token and comes from a caller who needs one. An [Open] route that shows
// more to other callers answers it without [Gate.Check], which would count it as a wrong token.
func Anonymous(r *http.Request) bool {
	if presentsToken(r) {
		return false
	}
	_, ok := callingPeer(r.Context())
	return !ok
}

// lookUp finds a valid token.
func (g *Gate) lookUp(digest Digest) (Token, bool) {
	if subtle.ConstantTimeCompare(digest[:], g.digest[:]) == 1 {
		return Token{Name: DefaultName, Scopes: AllScopes}, true
	}
	if g.find == nil {
		return Token{}, false
	}
	token, ok := g.find(digest)
	if !ok || !token.Expires.IsZero() && !time.Now().Before(token.Expires) {
		return Token{}, false
	}
	return token, true
}

// StillValid reports whether the token of a caller is valid now, with the scopes that it had. It is for requests
// that last. A user who needs none stays.
func (g *Gate) StillValid(c Caller) bool {
	if c.User != "" {
		return true
	}
	token, ok := g.lookUp(c.digest)
	return ok && token.Scopes == c.Scopes
}

// Tokens yields the tokens that a request presents, valid or not.
func Tokens(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		if token, ok := bearer(h.Get("Authorization")); ok && !yield(token) {
			return
		}
		if token := h.Get(HeaderToken); token != "" && !yield(token) {
			return
		}
		if token, ok := bearer(h.Get(HeaderAuth)); ok {
			yield(token)
		}
	}
}

// bearer reads a value such as "Bearer TOKEN".
func bearer(value string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(value, " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}
