package signature

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Key verifies signatures that name it.
type Key struct {
	ID          string // by which signatures name it
	Algorithm   string // RS256, PS512, ES256, HS256 and so on
	Fingerprint string // SHA256:… of a public key, and HMAC:ID of a secret, of which nothing is told

	text string // PEM, or the secret
}

// The least that a key must have: below, it can be guessed.
const (
	minRSABits     = 2048
	minSecretBytes = 32
)

// ParseKey makes a key of a file's content: a public key or a certificate as PEM or, for the HMAC algorithms alone, a
// secret. An empty algorithm is RS256 for RSA, and that of the curve for ECDSA.
func ParseKey(id, algorithm string, content []byte) (Key, error) {
	if id == "" {
		return Key{}, errors.New("the key has no name")
	}
	k := Key{ID: id, Algorithm: algorithm, text: string(content)}
	if strings.HasPrefix(algorithm, "HS") {
		return k.secret(content)
	}
	block, rest := pem.Decode(content)
	if block == nil {
		return Key{}, errors.New("it holds no PEM; a public key was expected, or name an HMAC algorithm for a secret")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return Key{}, errors.New("it holds more than one PEM block; one public key was expected")
	}
	public, err := publicKey(block)
	if err != nil {
		return Key{}, err
	}
	allowed, err := algorithmsOf(public)
	if err != nil {
		return Key{}, err
	}
	if k.Algorithm == "" {
		k.Algorithm = allowed[0]
	}
	if !slices.Contains(allowed, k.Algorithm) {
		return Key{}, fmt.Errorf("the algorithm is %s; for this key %s was expected", k.Algorithm, strings.Join(allowed, " or "))
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, err
	}
	sum := sha256.Sum256(der)
	k.Fingerprint = "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
	return k, nil
}

func (k Key) secret(content []byte) (Key, error) {
	switch {
	case !slices.Contains(hmacAlgorithms, k.Algorithm):
		return Key{}, fmt.Errorf("the algorithm is %s; HS256, HS384 or HS512 was expected", k.Algorithm)
	case bytes.Contains(content, []byte("-----BEGIN")):
		return Key{}, errors.New("it holds PEM, and a public key is no secret")
	case len(content) < minSecretBytes:
		return Key{}, fmt.Errorf("the secret has %d bytes; at least %d were expected", len(content), minSecretBytes)
	}
	k.Fingerprint = "HMAC:" + k.ID
	return k, nil
}

var hmacAlgorithms = []string{"HS256", "HS384", "HS512"}

// publicKey reads what OPA reads too.
func publicKey(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it holds a private key, which belongs to who signs; the public key was expected")
	default:
		return nil, fmt.Errorf("it holds %q; PUBLIC KEY or CERTIFICATE was expected", block.Type)
	}
}

// algorithmsOf lists those for which a public key is good, the default first.
func algorithmsOf(public any) ([]string, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("the RSA key has %d bits; at least %d were expected", key.N.BitLen(), minRSABits)
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		byBits := map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}
		if algorithm, ok := byBits[key.Curve.Params().BitSize]; ok {
			return []string{algorithm}, nil
		}
	}
	return nil, fmt.Errorf("it is a key of type %T; RSA, or ECDSA with P-256, P-384 or P-521, was expected", public)
}
