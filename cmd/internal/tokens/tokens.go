// Package tokens keeps the named tokens of a sidecar in a file of its data directory. [Store] changes the file, for the
// token commands; [Follower] reads it for a running sidecar, whenever it changes.
//
// The file has one token a line, as JSON, so that a line that cannot be read costs one token and not all. It holds the
// SHA-256 of each token, see [gate.Digest], and never a token.
package tokens

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"defenseclaw/api/gate"
	"defenseclaw/cmd/internal/private"

	"github.com/gofrs/flock"
)

// Prefix begins every token that this program makes, so that scanners for secrets find one that was left somewhere: 64
// hexadecimal digits follow.
const Prefix = "dc_"

// Make returns a random token of 256 bits.
func Make() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	return Prefix + hex.EncodeToString(secret)
}

// Entry is one line of the file.
type Entry struct {
	Name    string    `json:"name"`
	Scopes  []string  `json:"scopes"`
	SHA256  string    `json:"sha256"` // in hexadecimal digits
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// ID tells tokens apart without showing anything of them: the last digits of the SHA-256.
func (e Entry) ID() string { return e.SHA256[max(0, len(e.SHA256)-8):] }

// Expired reports whether the token is of no use any more.
func (e Entry) Expired() bool { return !e.Expires.IsZero() && !time.Now().Before(e.Expires) }

// token is what the gate needs of an entry.
func (e Entry) token() (gate.Digest, gate.Token, error) {
	var digest gate.Digest
	scopes, err := gate.ParseScopes(e.Scopes)
	if err == nil {
		err = checkName(e.Name)
	}
	if n, hexErr := hex.Decode(digest[:], []byte(e.SHA256)[:min(len(e.SHA256), 2*len(digest))]); err == nil &&
		(hexErr != nil || n != len(digest) || len(e.SHA256) != 2*len(digest)) {
		err = errors.New("sha256 is not 64 hexadecimal digits")
	}
	return digest, gate.Token{Name: e.Name, Scopes: scopes, Expires: e.Expires}, err
}

var nameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`) })

// reservedNames are actors of records that are not tokens of the file.
var reservedNames = []string{gate.DefaultName, "defenseclaw", "startup", "watch", "poll", "api", "signal", "sighup"}

func checkName(name string) error {
	switch {
	case !nameForm().MatchString(name):
		return fmt.Errorf("the name is %q: 1 to 63 letters, digits, dots, dashes and underscores were expected", name)
	case slices.Contains(reservedNames, strings.ToLower(name)):
		return fmt.Errorf("the name %q stands for something else in records: choose another", name)
	default:
		return nil
	}
}

// Store is the file of a data directory, whether or not a sidecar runs on it.
type Store struct{ DataDir string }

// Path is the file.
func (s Store) Path() string { return filepath.Join(s.DataDir, "tokens.jsonl") }

// List reads the file. problems are lines that cannot be read, with their numbers.
func (s Store) List() (entries []Entry, problems []error, err error) {
	lines, err := s.lines()
	if err != nil {
		return nil, nil, err
	}
	entries, problems = parse(s.Path(), lines)
	return entries, problems, nil
}

func parse(path string, lines [][]byte) (entries []Entry, problems []error) {
	for i, line := range lines {
		e, err := parseLine(line)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", path, i+1, err))
			continue
		}
		entries = append(entries, e)
	}
	return entries, problems
}

func parseLine(line []byte) (e Entry, err error) {
	if err := json.Unmarshal(line, &e); err != nil {
		return e, err
	}
	_, _, err = e.token()
	return e, err
}

// lines returns the lines of the file that are not empty. There are none if there is no file.
func (s Store) lines() (lines [][]byte, err error) {
	text, err := os.ReadFile(s.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = private.Check(s.Path())
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines, err
}

// Add makes a token, and returns it: only its digest is kept. When it returns, the token is accepted. lasts is how long it is valid; 0: for ever.
func (s Store) Add(ctx context.Context, name string, scopes gate.Scopes, lasts time.Duration) (token string, _ Entry, err error) {
	token = Make()
	digest, now := gate.DigestOf(token), time.Now().UTC().Truncate(time.Second)
	e := Entry{Name: name, Scopes: scopes.Names(), SHA256: hex.EncodeToString(digest[:]), Created: now}
	if lasts != 0 {
		e.Expires = now.Add(lasts)
	}
	if _, _, err := e.token(); err != nil {
		return "", e, err
	}
	err = s.change(ctx, func(lines [][]byte) ([][]byte, error) {
		for _, line := range lines {
			if other, err := parseLine(line); err == nil && other.Name == name {
				return nil, fmt.Errorf("there is a token named %s: revoke it first, or choose another name", name)
			}
		}
		line, err := json.Marshal(e)
		return append(lines, line), err
	})
	if err == nil {
		err = wait(ctx, missInterval)
	}
	return token, e, err
}

// Revoke removes a token. When it returns, the token is refused.
func (s Store) Revoke(ctx context.Context, name string) error {
	err := s.change(ctx, func(lines [][]byte) ([][]byte, error) {
		left := slices.DeleteFunc(slices.Clone(lines), func(line []byte) bool {
			e, err := parseLine(line)
			return err == nil && e.Name == name
		})
		if len(left) == len(lines) {
			return nil, fmt.Errorf("there is no token named %s in %s", name, s.Path())
		}
		return left, nil
	})
	if err != nil {
		return err
	}
	return wait(ctx, recheckInterval)
}

// wait gives a running sidecar the time after which it looks at the file again.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// change replaces the file. Changes by several processes follow one another.
func (s Store) change(ctx context.Context, edit func(lines [][]byte) ([][]byte, error)) error {
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	lock := flock.New(s.Path()+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	defer lock.Unlock() //nolint:errcheck // it ends with the process
	err := private.Adopt(lock.Path())
	if err != nil {
		return err
	}
	lines, err := s.lines()
	if err == nil {
		lines, err = edit(lines)
	}
	if err != nil {
		return err
	}
	text := bytes.Join(lines, []byte("\n"))
	if len(lines) > 0 {
		text = append(text, '\n')
	}
	return private.Write(s.Path(), text)
}

const lockTimeout = 10 * time.Second
