package access

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"defenseclaw/cmd/internal/private"

	"github.com/nats-io/nkeys"
)

// ParseUsers reads a file of users: a line has a role, a name, a public key and, of an agent, a channel. Empty lines and lines that
// begin with # are left out.
func ParseUsers(text []byte) ([]User, error) {
	var all []User
	names := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) < 3 || len(words) > 4 {
			return nil, fmt.Errorf("line %d has %d words: a role, a name, a public key and perhaps a channel were expected", n, len(words))
		}
		u := User{Role: Role(words[0]), Name: words[1], Key: words[2]}
		if len(words) == 4 {
			u.Channel = words[3]
		}
		if err := u.Check(); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if !nkeys.IsValidPublicUserKey(u.Key) {
			return nil, fmt.Errorf("line %d: %q is no public key of a user: U… was expected", n, u.Key)
		}
		if names[u.Name] || names[u.Key] {
			return nil, fmt.Errorf("line %d: there are two users %s, or two with the key %s", n, u.Name, u.Key)
		}
		names[u.Name], names[u.Key] = true, true
		all = append(all, u)
	}
	return all, lines.Err()
}

// NewUser makes the key of a user. seed is the text of its file of credentials.
func NewUser(u User) (_ User, seed []byte, err error) {
	if err := u.Check(); err != nil {
		return u, nil, err
	}
	keys, err := nkeys.CreateUser()
	if err != nil {
		return u, nil, err
	}
	defer keys.Wipe()
	if u.Key, err = keys.PublicKey(); err != nil {
		return u, nil, err
	}
	seed, err = keys.Seed()
	return u, append(seed, '\n'), err
}

// AddUser appends a user to a file of users, which need not exist yet. A user with the same name or key is an error.
func AddUser(file string, u User) error {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(text) == 0 {
		text = []byte("# The users of the broker: role, name, public key, and of an agent its channel. The broker reads it again when it changes.\n")
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	text = fmt.Append(text, strings.TrimSpace(strings.Join([]string{string(u.Role), u.Name, u.Key, u.Channel}, " ")), "\n")
	if _, err := ParseUsers(text); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return private.Write(file, text)
}
