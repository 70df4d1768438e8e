package worktree

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Signers are whose signatures count. The zero value trusts nobody.
type Signers struct {
	ssh     []sshSigner
	keyring openpgp.EntityList
}

type sshSigner struct {
	name          string // principals, as they are written
	key           ssh.PublicKey
	namespaces    []string // patterns; nil: all
	after, before time.Time
}

// Signer is who made a signature.
type Signer struct{ Name, Fingerprint string }

// namespace is that of git's signatures.
const namespace = "git"

const minRSABits = 2048

// Join is both.
func (s Signers) Join(other Signers) Signers {
	return Signers{append(slices.Clone(s.ssh), other.ssh...), append(slices.Clone(s.keyring), other.keyring...)}
}

// Trusts reports whether a key of that fingerprint is one of them.
func (s Signers) Trusts(fingerprint string) bool {
	return slices.ContainsFunc(s.ssh, func(k sshSigner) bool { return ssh.FingerprintSHA256(k.key) == fingerprint }) ||
		slices.ContainsFunc(s.keyring, func(e *openpgp.Entity) bool { return openPGPFingerprint(e) == fingerprint })
}

// ParseKeyring reads OpenPGP public keys, armored or not.
func ParseKeyring(content []byte) (Signers, error) {
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(content), []byte("-----BEGIN")) {
		read = openpgp.ReadArmoredKeyRing
	}
	keyring, err := read(bytes.NewReader(content))
	if err == nil && len(keyring) == 0 {
		err = errors.New("it holds no public key")
	}
	if err != nil {
		return Signers{}, err
	}
	for _, e := range keyring {
		if e.PrivateKey != nil {
			return Signers{}, errors.New("it holds a private key, which belongs to who signs; public keys were expected")
		}
	}
	return Signers{keyring: keyring}, nil
}

// Verify says who signed the payload, at a time that the payload gives: keys of ssh may be good for a while only.
func (s Signers) Verify(payload, signature []byte, at time.Time) (Signer, error) {
	switch text := bytes.TrimSpace(signature); {
	case len(text) == 0:
		return Signer{}, errors.New("is not signed")
	case bytes.HasPrefix(text, []byte("-----BEGIN SSH SIGNATURE-----")):
		return s.verifySSH(payload, text, at)
	case bytes.HasPrefix(text, []byte("-----BEGIN PGP SIGNATURE-----")):
		return s.verifyOpenPGP(payload, text)
	default:
		return Signer{}, errors.New("has a signature that is neither of ssh nor of OpenPGP")
	}
}

func (s Signers) verifyOpenPGP(payload, signature []byte) (Signer, error) {
	if len(s.keyring) == 0 {
		return Signer{}, errors.New("has a signature of OpenPGP, and no keyring is trusted")
	}
	e, err := openpgp.CheckArmoredDetachedSignature(s.keyring, bytes.NewReader(payload), bytes.NewReader(signature), nil)
	if err != nil {
		return Signer{}, fmt.Errorf("is not signed by a key of the keyring: %w", err)
	}
	name := "OpenPGP key"
	if identity := e.PrimaryIdentity(); identity != nil {
		name = identity.Name
	}
	return Signer{name, openPGPFingerprint(e)}, nil
}

func openPGPFingerprint(e *openpgp.Entity) string {
	return strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint))
}

func (s Signers) verifySSH(payload, armored []byte, at time.Time) (Signer, error) {
	if len(s.ssh) == 0 {
		return Signer{}, errors.New("has a signature of ssh, and no allowed signers are given")
	}
	signature, err := sshsig.Unarmor(armored)
	if err != nil {
		return Signer{}, fmt.Errorf("has a signature of ssh that cannot be read: %w", err)
	}
	if signature.Signature.Format == ssh.KeyAlgoRSA { // by SHA-1, which the format forbids
		return Signer{}, errors.New("has a signature of ssh by SHA-1")
	}
	fingerprint := ssh.FingerprintSHA256(signature.PublicKey)
	why := errors.New("is signed by the key " + fingerprint + ", which is not among the allowed signers")
	for _, k := range s.ssh {
		if ssh.FingerprintSHA256(k.key) != fingerprint {
			continue
		}
		if why = k.allows(at); why != nil {
			continue
		}
		if err := sshsig.Verify(bytes.NewReader(payload), signature, k.key, signature.HashAlgorithm, namespace); err != nil {
			return Signer{}, fmt.Errorf("is not what the key %s of %s signed: %w", fingerprint, k.name, err)
		}
		return Signer{k.name, fingerprint}, nil
	}
	return Signer{}, why
}

// allows refuses a key that is not for git, or was not good when the object says that it was made.
func (k sshSigner) allows(at time.Time) error {
	who := fmt.Sprintf("is signed by %s, whose key", k.name)
	switch {
	case k.namespaces != nil && !matchesAny(k.namespaces, namespace):
		return fmt.Errorf("%s is for the namespaces %s; %s was expected", who, strings.Join(k.namespaces, ","), namespace)
	case !k.after.IsZero() && at.Before(k.after):
		return fmt.Errorf("%s is good from %s, and it was made at %s", who, k.after.Format(time.RFC3339), at.Format(time.RFC3339))
	case !k.before.IsZero() && !at.Before(k.before):
		return fmt.Errorf("%s was good until %s, and it was made at %s", who, k.before.Format(time.RFC3339), at.Format(time.RFC3339))
	}
	return nil
}

func strong(key ssh.PublicKey) error {
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	if k, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
		return fmt.Errorf("the RSA key has %d bits; at least %d were expected", k.N.BitLen(), minRSABits)
	}
	return nil
}
