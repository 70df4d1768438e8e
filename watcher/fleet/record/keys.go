package record

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Role is what a key may sign.
type Role string

// The roles.
const (
	RoleRelease Role = "release" // anything
	RoleStage   Role = "stage"   // records between releases that a release key signed
)

// Keys are the keys that an agent trusts. The zero value trusts none. It is a [note.Verifiers].
type Keys struct {
	verifiers map[keyID]note.Verifier
	roles     map[keyID]Role
}

type keyID struct {
	name string
	hash uint32
}

// ParseKeys reads a file of keys: a role and a verifier key a line, as `fleet key new` prints them. Empty lines and lines
// that begin with # are left out.
func ParseKeys(text []byte) (*Keys, error) {
	k := &Keys{map[keyID]note.Verifier{}, map[keyID]Role{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) != 2 {
			return nil, fmt.Errorf("line %d has %d words: a role and a key were expected", n, len(words))
		}
		role := Role(words[0])
		if role != RoleRelease && role != RoleStage {
			return nil, fmt.Errorf("line %d: the role is %q: release or stage was expected", n, words[0])
		}
		v, err := note.NewVerifier(words[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		id := keyID{v.Name(), v.KeyHash()}
		if had, twice := k.roles[id]; twice && had != role {
			return nil, fmt.Errorf("line %d: the key %s has two roles", n, v.Name())
		}
		k.verifiers[id], k.roles[id] = v, role
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(k.verifiers) == 0 {
		return nil, fmt.Errorf("there is no key in it: lines of a role and a key were expected")
	}
	return k, nil
}

// Verifier makes Keys a [note.Verifiers].
func (k *Keys) Verifier(name string, hash uint32) (note.Verifier, error) {
	if v := k.verifiers[keyID{name, hash}]; v != nil {
		return v, nil
	}
	return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
}

// Names lists the keys as acknowledgements name them: name and hash, sorted.
func (k *Keys) Names() []string {
	var names []string
	for id := range k.verifiers {
		names = append(names, fmt.Sprintf("%s+%08x", id.name, id.hash))
	}
	slices.Sort(names)
	return names
}
