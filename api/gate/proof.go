package gate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
)

// A Challenge lets two parties on one machine show each other that they hold the same token, without sending it: a
// command makes sure that the sidecar listens before it presents the token on the same connection.
//
// The command goes first, with a MAC of a random nonce; only then the listener answers with its own. So a listener
// answers nothing to callers without a token, and there is nothing by which they could try tokens at their leisure. Both
// MACs are of the addresses of both ends of the connection. A process that took over the port cannot pass a challenge on to the
// sidecar, because its own connection to the sidecar has other addresses.
//
// The key is derived from the token's digest, since the sidecar holds no more of named tokens. A reader of the digests could
// pretend to be the sidecar, but not call it: a digest presented as a token is no valid token. What a false listener
// sees, the nonce and the command's MAC, lets it try guesses of the token; a random token cannot be guessed.
type Challenge struct {
	Nonce            [32]byte
	Caller, Listener netip.AddrPort // the ends of the connection
}

// Roles of the two proofs, so that one is never the other.
const (
	roleCaller   = "caller"
	roleListener = "listener"
)

// OfCaller is the proof that the caller sends, in hexadecimal digits.
func (c Challenge) OfCaller(token Digest) string { return hex.EncodeToString(c.mac(token, roleCaller)) }

// IsOfListener reports whether a text is the proof with which a listener who holds the token answers.
func (c Challenge) IsOfListener(text string, token Digest) bool {
	proof, err := hex.DecodeString(text)
	return err == nil && hmac.Equal(proof, c.mac(token, roleListener))
}

func (c Challenge) mac(token Digest, role string) []byte {
	key := hmac.New(sha256.New, token[:])
	key.Write([]byte("defenseclaw: key of the proofs of caller and listener, v1"))
	h := hmac.New(sha256.New, key.Sum(nil))
	h.Write([]byte(role + "\n" + c.Caller.String() + "\n" + c.Listener.String() + "\n"))
	h.Write(c.Nonce[:])
	return h.Sum(nil)
}

// NewChallenge returns a challenge for a connection, without a nonce. ok is false if the connection is none over TCP
// from this machine to itself: elsewhere addresses may be translated on the way, and one connection may look like
// another.
func NewChallenge(caller, listener net.Addr) (c Challenge, ok bool) {
	c.Caller, c.Listener = endOf(caller), endOf(listener)
	from, to := c.Caller.Addr(), c.Listener.Addr()
	return c, from.IsValid() && to.IsValid() && (from == to || from.IsLoopback() && to.IsLoopback())
}

func endOf(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	end, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{} // a Unix socket
	}
	return netip.AddrPortFrom(end.Addr().Unmap(), end.Port())
}

// Prove answers the challenge of a request whose query has the caller's nonce and proof, for the token by which the
// caller made it. Callers on this machine may try as often as they like, as with tokens: a token cannot be guessed.
func (g *Gate) Prove(r *http.Request) (string, *Denial) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	remote, err := net.ResolveTCPAddr("tcp", r.RemoteAddr) // an address in digits: it asks nobody
	if err != nil {
		return "", notProvable
	}
	c, ok := NewChallenge(remote, local)
	if !ok {
		return "", notProvable
	}
	query := r.URL.Query()
	nonce, err := hex.DecodeString(query.Get("nonce"))
	proof, proofErr := hex.DecodeString(query.Get("proof"))
	if err != nil || proofErr != nil || copy(c.Nonce[:], nonce) != len(nonce) || len(nonce) != len(c.Nonce) || len(proof) != sha256.Size {
		return "", &Denial{http.StatusBadRequest, "nonce and proof are each 32 bytes in hexadecimal digits"}
	}
	var answer []byte
	check := func(token Digest) {
		if hmac.Equal(proof, c.mac(token, roleCaller)) {
			answer = c.mac(token, roleListener)
		}
	}
	check(g.digest)
	if g.digests != nil {
		for token := range g.digests() {
			if _, valid := g.lookUp(token); valid {
				check(token)
			}
		}
	}
	if answer == nil {
		return "", &Denial{http.StatusUnauthorized, "unauthorized"}
	}
	return hex.EncodeToString(answer), nil
}

var notProvable = &Denial{http.StatusBadRequest, "the listener proves itself over TCP, to callers on its own machine"}
