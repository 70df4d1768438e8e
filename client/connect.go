package client

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// errNotConnected is wrapped where nothing was sent.
var errNotConnected = errors.New("no connection")

// dialer connects to one address, and makes sure that the sidecar is there.
type dialer struct {
	network, addr string
	token         string // to prove that the listener holds it, over plain HTTP; empty: it need not
	secure        bool   // a certificate says who listens
}

func (d dialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, d.network, d.addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotConnected, err)
	}
	switch {
	case d.secure:
	case d.network == "unix":
		err = checkPeer(conn, d.addr)
	case d.token != "":
		err = challenge(ctx, conn, d.token)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// reachable turns an address to bind to into one to call: a wildcard becomes loopback.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// challenge makes sure that the listener at the other end of a connection holds the token, which is not sent. What both
// show is a MAC of a random number and of the addresses of both ends, so that a process which took over the port cannot pass it on.
func challenge(ctx context.Context, conn net.Conn, token string) error {
	name := "http://" + conn.RemoteAddr().String()
	p, ok := proofOn(conn, token)
	if !ok {
		return &UntrustedError{name, "over plain HTTP, a listener beyond this machine cannot prove that it is the sidecar: use TLS"}
	}
	_, _ = rand.Read(p.nonce[:]) // never fails
	query := url.Values{"nonce": {hex.EncodeToString(p.nonce[:])}, "proof": {hex.EncodeToString(p.mac("caller"))}}
	status, text, err := exchange(ctx, conn, name+"/health/proof?"+query.Encode())
	var answer struct {
		Proof string `json:"proof"`
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errNotConnected, ctx.Err())
	case err != nil:
		return &UntrustedError{name, fmt.Sprintf("the listener did not prove that it holds the token: %s", err)}
	case status != http.StatusOK:
		return &UntrustedError{name, fmt.Sprintf("the listener did not prove that it holds the token: it answered %d to the challenge; is the token wrong?", status)}
	case json.Unmarshal(text, &answer) != nil || !p.isOfListener(answer.Proof):
		return &UntrustedError{name, "the listener did not prove that it holds the token: its proof is wrong"}
	}
	return nil
}

// proof is what both parties on a connection show.
type proof struct {
	nonce [32]byte
	ends  string
	key   []byte
}

func proofOn(conn net.Conn, token string) (p proof, ok bool) {
	from, errFrom := netip.ParseAddrPort(conn.LocalAddr().String())
	to, errTo := netip.ParseAddrPort(conn.RemoteAddr().String())
	if errFrom != nil || errTo != nil {
		return p, false
	}
	from, to = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if from.Addr() != to.Addr() && (!from.Addr().IsLoopback() || !to.Addr().IsLoopback()) {
		return p, false
	}
	digest := sha256.Sum256([]byte(token))
	key := hmac.New(sha256.New, digest[:])
	key.Write([]byte("defenseclaw: key of the proofs of caller and listener, v1"))
	return proof{ends: from.String() + "\n" + to.String() + "\n", key: key.Sum(nil)}, true
}

func (p *proof) mac(role string) []byte {
	h := hmac.New(sha256.New, p.key)
	h.Write([]byte(role + "\n" + p.ends))
	h.Write(p.nonce[:])
	return h.Sum(nil)
}

func (p *proof) isOfListener(text string) bool {
	got, err := hex.DecodeString(text)
	return err == nil && hmac.Equal(got, p.mac("listener"))
}

// maxProofBytes bounds what a listener may answer to a challenge.
const maxProofBytes = 64 << 10

// exchange sends one request over a connection and reads the answer, and nothing beyond it.
func exchange(ctx context.Context, conn net.Conn, target string) (status int, text []byte, err error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // ends what waits
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return 0, nil, err
	}
	if err := request.Write(conn); err != nil {
		return 0, nil, err
	}
	in := bufio.NewReader(io.LimitReader(conn, maxProofBytes))
	response, err := http.ReadResponse(in, request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	text, err = io.ReadAll(response.Body)
	switch {
	case err != nil:
		return 0, nil, err
	case in.Buffered() > 0:
		return 0, nil, errors.New("it sent more than one answer")
	case response.StatusCode == http.StatusOK && response.Close:
		return 0, nil, errors.New("it ends the connection")
	}
	return response.StatusCode, text, nil
}

// endpoint is one way to a sidecar.
type endpoint struct {
	base string // of the URL
	name string // in messages
	http *http.Client
}

func (t target) endpoints(anyListener bool) (all []endpoint) {
	add := func(scheme, host, name string, d dialer, secure bool) {
		transport := &http.Transport{DialContext: d.dial, MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: time.Minute}
		if secure {
			transport.TLSClientConfig = t.tls
		}
		all = append(all, endpoint{scheme + "://" + host, name, &http.Client{Transport: transport}})
	}
	if t.socket != "" {
		add("http", "localhost", unixScheme+t.socket, dialer{network: "unix", addr: t.socket}, false)
	}
	scheme := "http"
	if t.tls != nil {
		scheme = "https"
	}
	if path, ok := strings.CutPrefix(t.addr, unixScheme); ok {
		add(scheme, "localhost", t.addr, dialer{network: "unix", addr: path, secure: t.tls != nil}, t.tls != nil)
		return all
	}
	d := dialer{network: "tcp", addr: reachable(t.addr)}
	if t.tls == nil && !anyListener {
		d.token = t.token
	}
	add(scheme, d.addr, scheme+"://"+d.addr, d, t.tls != nil)
	return all
}

// idleConnections are kept for calls at the same time.
const idleConnections = 32
