package signature

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	enginebundle "defenseclaw/engine/bundle"
	"defenseclaw/engine/source"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

// A Signer is a private key or a secret, with what its signatures say of it.
type Signer struct {
	Algorithm string // as [ParseKey] chooses it where none was given

	id, scope string
	key       any
}

// NewSigner makes a signer of a file's content: a private key as PEM, not encrypted, or a secret for the HMAC algorithms.
func NewSigner(id, algorithm, scope string, content []byte) (Signer, error) {
	s := Signer{Algorithm: algorithm, id: id, scope: scope}
	if id == "" || scope == "" {
		return s, errors.New("a signature needs a key id and a scope")
	}
	if strings.HasPrefix(algorithm, "HS") {
		if _, err := ParseKey(id, algorithm, content); err != nil {
			return s, err
		}
		s.key = content
		return s, nil
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return s, errors.New("it holds no PEM; a private key was expected, or name an HMAC algorithm for a secret")
	}
	// Encoded anew, since OPA takes a text that does not begin with PEM for the name of a file.
	key, err := bundle.NewSigningConfig(string(pem.EncodeToMemory(block)), "RS256", "").GetPrivateKey()
	if err != nil {
		return s, fmt.Errorf("read the private key: %w", err)
	}
	private, ok := key.(crypto.Signer)
	if !ok {
		return s, fmt.Errorf("it is a key of type %T; RSA or ECDSA was expected", key)
	}
	allowed, err := algorithmsOf(private.Public())
	if err != nil {
		return s, err
	}
	if s.Algorithm == "" {
		s.Algorithm = allowed[0]
	}
	if !slices.Contains(allowed, s.Algorithm) {
		return s, fmt.Errorf("the algorithm is %s; for this key %s was expected", s.Algorithm, strings.Join(allowed, " or "))
	}
	s.key = private
	return s, nil
}

// Sign makes the file of signatures of a directory, and lists the files that it covers. A zero expires is never. These are
// the files that opa sign lists, but for hidden ones, and those that are reached through links and would be loaded.
func (s Signer) Sign(ctx context.Context, src fs.FS, expires time.Time) (content []byte, names []string, _ error) {
	found, err := filesOf(ctx, src)
	if err != nil {
		return nil, nil, err
	}
	return s.sign(found, expires)
}

// SignBundle makes the file of signatures of a bundle, which covers all files that are given. A zero expires is never.
func (s Signer) SignBundle(files []enginebundle.File, expires time.Time) ([]byte, error) {
	found := make(map[string][]byte, len(files))
	for _, f := range files {
		found[f.Path] = f.Content
	}
	content, _, err := s.sign(found, expires)
	return content, err
}

func (s Signer) sign(found map[string][]byte, expires time.Time) (content []byte, names []string, _ error) {
	hasher, err := bundle.NewSignatureHasher(bundle.SHA256)
	if err != nil {
		return nil, nil, err
	}
	body := map[string]any{"keyid": s.id, "scope": s.scope}
	if !expires.IsZero() {
		body["exp"] = expires.Unix()
	}
	list := make([]bundle.FileInfo, 0, len(found))
	for _, name := range util.KeysSorted(found) {
		var value any = found[name]
		if bundle.IsStructuredDoc(name) {
			if err := util.Unmarshal(found[name], &value); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		sum, err := hasher.HashFile(value)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		list, names = append(list, bundle.NewFile(name, hex.EncodeToString(sum), bundle.SHA256.String())), append(names, name)
	}
	body["files"] = list
	token, err := s.token(body)
	if err != nil {
		return nil, nil, err
	}
	content, err = json.MarshalIndent(map[string]any{"signatures": []string{token}}, "", " ")
	return append(content, '\n'), names, err
}

// token is without jwt.Sign, which OPA's signer uses: that takes other claims from a file alone.
func (s Signer) token(body map[string]any) (string, error) {
	payload, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	algorithm, ok := jwa.LookupSignatureAlgorithm(s.Algorithm)
	if !ok {
		return "", fmt.Errorf("the algorithm %q is unknown", s.Algorithm)
	}
	headers := jws.NewHeaders()
	if err := errors.Join(headers.Set(jws.KeyIDKey, s.id), headers.Set(jws.TypeKey, "JWT")); err != nil {
		return "", err
	}
	token, err := jws.Sign(payload, jws.WithKey(algorithm, s.key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return string(token), nil
}

// filesOf reads the files that a signature covers. What the engine refuses to read is not signed.
func filesOf(ctx context.Context, src fs.FS) (map[string][]byte, error) {
	reading, err := source.Read(ctx, src, source.Options{TestsAside: true})
	if err != nil {
		return nil, err
	}
	found := map[string][]byte{}
	for _, f := range slices.Concat(reading.Files(), reading.Tests()) {
		found[f.Path] = f.Bytes
	}
	err = fs.WalkDir(src, ".", func(p string, entry fs.DirEntry, err error) error {
		hidden := p != "." && strings.HasPrefix(entry.Name(), ".") && p != bundle.ManifestExt
		switch {
		case err != nil:
			return err
		case hidden && entry.IsDir():
			return fs.SkipDir
		case hidden || !entry.Type().IsRegular() || found[p] != nil:
			return ctx.Err()
		}
		found[p], err = readFile(src, p)
		return err
	})
	return found, err
}

// maxOtherBytes bounds files that are no policy and would only be hashed.
const maxOtherBytes = 512 << 20

func readFile(src fs.FS, p string) ([]byte, error) {
	in, err := src.Open(p)
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	var content bytes.Buffer
	n, err := io.Copy(&content, io.LimitReader(in, maxOtherBytes+1))
	if err == nil && n > maxOtherBytes {
		err = fmt.Errorf("%s is larger than %d bytes", path.Base(p), maxOtherBytes)
	}
	if content.Bytes() == nil {
		return []byte{}, err
	}
	return content.Bytes(), err
}
