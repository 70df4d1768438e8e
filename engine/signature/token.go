package signature

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/keys"
)

// clockTolerance is by how much clocks of who signs and who verifies may differ.
const clockTolerance = time.Minute

// claims is what is read of a signature besides what OPA reads.
type claims struct {
	KeyID string            `json:"keyid"`
	Scope *string           `json:"scope"`
	Exp   json.Number       `json:"exp"`
	Nbf   json.Number       `json:"nbf"`
	Files []bundle.FileInfo `json:"files"`
}

// listed is what a signature says about the files, once it was found to be a key's.
type listed struct {
	key   Key
	files map[string]bundle.FileInfo // by name
}

// verifyToken finds out whose signature the file of signatures holds. Errors are sentences about it.
func (r *Release) verifyToken(content []byte) (listed, error) {
	token, err := onlyToken(content)
	if err != nil {
		return listed{}, err
	}
	id, body, err := peek(token)
	if err != nil {
		return listed{}, err
	}
	if r.bundle.KeyID != "" {
		id = r.bundle.KeyID
	}
	key, ok := r.keys[id]
	scope := r.scopeOf(id)
	switch {
	case id == "":
		return listed{}, errors.New("the signature names no key: sign with a key id")
	case !ok:
		return listed{}, fmt.Errorf("it is signed with the key %q, which is not trusted; trusted is %s", id, strings.Join(slices.Sorted(maps.Keys(r.keys)), ", "))
	case scope != "" && (body.Scope == nil || *body.Scope == ""):
		return listed{}, fmt.Errorf("the signature of the key %q has no scope; %q was expected", id, scope)
	case body.Scope != nil && *body.Scope != scope:
		return listed{}, fmt.Errorf("the key %q signed it for the scope %q; %q was expected", id, *body.Scope, scope)
	}
	files, err := bundle.VerifyBundleSignature(
		bundle.SignaturesConfig{Signatures: []string{token}},
		bundle.NewVerificationConfig(map[string]*keys.Config{id: {Key: key.text, Algorithm: key.Algorithm}}, id, scope, nil))
	if err != nil { // OPA's message says what its library does
		return listed{}, fmt.Errorf("it is not what the key %q signed with %s", id, key.Algorithm)
	}
	if err := body.inTime(r.now()); err != nil {
		return listed{}, fmt.Errorf("the signature of the key %q %w", id, err)
	}
	return listed{key, files}, nil
}

// onlyToken reads the file of signatures. A second signature has no meaning that everybody would agree on.
func onlyToken(content []byte) (string, error) {
	var file struct {
		Signatures []string `json:"signatures"`
		Plugin     string   `json:"plugin"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return "", fmt.Errorf("it is no file of signatures: %w", err)
	}
	switch {
	case file.Plugin != "" && file.Plugin != "_default":
		return "", fmt.Errorf("it names the plugin %q, which this program has not", file.Plugin)
	case len(file.Signatures) != 1:
		return "", fmt.Errorf("it holds %d signatures; one was expected", len(file.Signatures))
	}
	return file.Signatures[0], nil
}

// Claimed is what a signature says of itself.
type Claimed struct {
	KeyID     string
	Algorithm string
	Scope     string
	Expires   time.Time // zero: never, or the signature says it in a way that nobody takes
	Files     int       // that it lists
}

// Describe reads a file of signatures without any key: whoever wrote it may have written anything. Errors are sentences
// about it.
func Describe(content []byte) (Claimed, error) {
	token, err := onlyToken(content)
	if err != nil {
		return Claimed{}, err
	}
	head, body, err := parts(token)
	if err != nil {
		return Claimed{}, err
	}
	c := Claimed{KeyID: cmp.Or(head.KeyID, body.KeyID), Algorithm: head.Algorithm, Files: len(body.Files)}
	if body.Scope != nil {
		c.Scope = *body.Scope
	}
	if seconds, err := body.Exp.Float64(); err == nil && seconds > 0 && seconds < latest {
		c.Expires = time.Unix(int64(seconds), 0).UTC()
	}
	return c, nil
}

// peek reads a signature that nobody has verified yet.
func peek(token string) (keyID string, _ claims, _ error) {
	head, body, err := parts(token)
	return cmp.Or(head.KeyID, body.KeyID), body, err // OPA takes both, too
}

// header is what is read of a signature's first part.
type header struct {
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
}

func parts(token string) (head header, body claims, _ error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 { //nolint:mnd // header, payload and signature
		return head, body, errors.New("the signature is no JSON Web Token")
	}
	if err := errors.Join(decode(parts[0], &head), decode(parts[1], &body)); err != nil {
		return header{}, claims{}, fmt.Errorf("the signature is no JSON Web Token: %w", err)
	}
	return head, body, nil
}

func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// latest is the second beyond which a time has no text.
const latest = 1 << 40

func (c claims) inTime(now time.Time) error {
	for _, claim := range []struct {
		at      json.Number
		outside func(time.Time) bool
		text    string
	}{
		{c.Exp, func(t time.Time) bool { return now.After(t.Add(clockTolerance)) }, "was good until"},
		{c.Nbf, func(t time.Time) bool { return now.Before(t.Add(-clockTolerance)) }, "is good from"},
	} {
		if claim.at == "" {
			continue
		}
		seconds, err := claim.at.Float64()
		if err != nil || !(seconds >= 0 && seconds < latest) {
			return fmt.Errorf("has %s where a number of seconds was expected", claim.at)
		}
		if t := time.Unix(int64(seconds), 0).UTC(); claim.outside(t) {
			return fmt.Errorf("%s %s, and it is %s", claim.text, t.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		}
	}
	return nil
}
