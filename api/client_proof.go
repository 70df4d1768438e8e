package api

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"defenseclaw/api/gate"
)

// maxProofBytes bounds what a listener may answer to a challenge.
const maxProofBytes = 64 << 10

// challenge makes sure that the listener at the other end of a connection holds the token. base is the URL of the
// listener. What follows on the connection then goes to that listener.
func challenge(ctx context.Context, conn net.Conn, base, token string) error {
	c, ok := gate.NewChallenge(conn.LocalAddr(), conn.RemoteAddr())
	if !ok {
		return &UntrustedError{base, "over plain HTTP, a listener beyond this machine cannot prove that it is the sidecar"}
	}
	_, _ = rand.Read(c.Nonce[:]) // never fails: it ends the program instead
	digest := gate.DigestOf(token)
	query := url.Values{"nonce": {hex.EncodeToString(c.Nonce[:])}, "proof": {c.OfCaller(digest)}}
	status, text, err := exchange(ctx, conn, base+proofPattern+"?"+query.Encode())
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	case err != nil:
		return &UntrustedError{base, fmt.Sprintf("the listener did not prove that it holds the token: %s", err)}
	case status != http.StatusOK:
		return &UntrustedError{base, fmt.Sprintf(
			"the listener did not prove that it holds the token: it answered %d %s to the challenge", status, http.StatusText(status))}
	}
	var answer ProofAnswer
	if err := json.Unmarshal(text, &answer); err != nil || !c.IsOfListener(answer.Proof, digest) {
		return &UntrustedError{base, "the listener did not prove that it holds the token: its proof is wrong"}
	}
	return nil
}

// exchange sends one request over a connection and reads the answer, and nothing beyond it.
func exchange(ctx context.Context, conn net.Conn, target string) (status int, text []byte, err error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // ends what waits
	if end, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(end)
	}
	request, requestErr := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err := errors.Join(err, requestErr); err != nil {
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
	return response.StatusCode, text, conn.SetDeadline(time.Time{})
}
