package fleet

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"defenseclaw/watcher/fleet/record"

	"golang.org/x/mod/sumdb/note"
)

// NewKey makes a key. private is the text of a file for [ReadSigners], verifier the line for the agents' file of keys.
func NewKey(name string, role record.Role) (private []byte, verifier string, err error) {
	if role != record.RoleRelease && role != record.RoleStage {
		return nil, "", fmt.Errorf("the role is %q: release or stage was expected", role)
	}
	if err := record.CheckName("the key", name); err != nil {
		return nil, "", err
	}
	secret, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, "", err
	}
	verifier = string(role) + " " + public
	return fmt.Appendf(nil, "# A private key of a fleet. Agents trust it by this line in their file of keys:\n# %s\n%s %s\n", verifier, role, secret), verifier, nil
}

// Signers are private keys and what they are for.
type Signers struct {
	note  []note.Signer
	keys  *record.Keys
	lines []string
}

// ReadSigners reads the text of files of private keys, as [NewKey] makes them. The first key of a record is the one that is
// named first.
func ReadSigners(texts ...[]byte) (*Signers, error) {
	s := &Signers{}
	var verifiers strings.Builder
	for _, text := range texts {
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			words := strings.Fields(lines.Text())
			if len(words) == 0 || strings.HasPrefix(words[0], "#") {
				continue
			}
			if len(words) != 2 {
				return nil, fmt.Errorf("a line has %d words: a role and a private key were expected, as fleet key new writes them", len(words))
			}
			signer, err := note.NewSigner(words[1])
			if err != nil {
				return nil, errors.New("a line holds no private key: one that fleet key new wrote was expected") // the cause may show it
			}
			public, err := verifierOf(words[1])
			if err != nil {
				return nil, err
			}
			s.note = append(s.note, signer)
			s.lines = append(s.lines, words[0]+" "+public)
			verifiers.WriteString(words[0] + " " + public + "\n")
		}
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	if len(s.note) == 0 {
		return nil, errors.New("there is no private key in it: one that fleet key new wrote was expected")
	}
	var err error
	s.keys, err = record.ParseKeys([]byte(verifiers.String()))
	return s, err
}

// Note are the signers for package record.
func (s *Signers) Note() []note.Signer { return s.note }

// Keys trust what the signers sign.
func (s *Signers) Keys() *record.Keys { return s.keys }

// Lines are the lines for the agents' file of keys.
func (s *Signers) Lines() []string { return s.lines }

// Can reports whether one of the keys has a role.
func (s *Signers) Can(role record.Role) bool {
	for _, line := range s.lines {
		if strings.HasPrefix(line, string(role)+" ") {
			return true
		}
	}
	return false
}

// verifierOf is the public half of a private key of package note: PRIVATE+KEY+name+hash+(algorithm, seed).
func verifierOf(private string) (string, error) {
	rest := strings.TrimPrefix(private, "PRIVATE+KEY+")
	name, rest, _ := strings.Cut(rest, "+")
	_, data, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return "", fmt.Errorf("the key %s is no Ed25519 key", name)
	}
	public, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("the key %s is no Ed25519 key", name)
	}
	return note.NewEd25519VerifierKey(name, public)
}
