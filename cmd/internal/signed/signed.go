// Package signed makes of the settings what finds out who signed a policy directory. [New] reads the keys, [Sources.Func] is
// what the engine asks.
package signed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/cmd/internal/private"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/engine"
	"defenseclaw/engine/signature"
	"defenseclaw/engine/source"
)

// Sources finds out who signed what may come to serve. Safe for concurrent use.
type Sources struct {
	release *signature.Release
}

// New reads the keys that the settings name. It returns nil where they ask for no signature.
func New(set settings.Settings) (*Sources, error) {
	s := set.Signature
	switch {
	case len(s.Keys) == 0 && s.Scope != "":
		return nil, errors.New("signature.scope is set, and signature.keys names no key")
	case len(s.Keys) == 0:
		return nil, nil
	case set.PolicyDir == "":
		return nil, errors.New("signature.keys asks for a signed policy directory, and no policy directory is set or found: set --policy-dir")
	case s.Scope == "":
		return nil, errors.New("signature.keys needs signature.scope: the same key may sign other policies")
	}
	var keys []signature.Key
	for _, k := range s.Keys {
		content, err := trustedFile(k.File, set.PolicyDir)
		if err != nil {
			return nil, fmt.Errorf("signature.keys: %w", err)
		}
		key, err := signature.ParseKey(k.ID, k.Algorithm, content)
		if err != nil {
			return nil, fmt.Errorf("signature.keys: the key %q, %s: %w", k.ID, k.File, err)
		}
		keys = append(keys, key)
	}
	release, err := signature.NewRelease(signature.Config{Keys: keys, Scope: s.Scope})
	if err != nil {
		return nil, fmt.Errorf("signature.keys: %w", err)
	}
	return &Sources{release: release}, nil
}

// Func is what the engine asks; nil where no signature is asked for, for which s is nil.
func (s *Sources) Func() engine.Verify {
	if s == nil {
		return nil
	}
	return s.verify
}

// errNotTrusted is about a policy of the history.
var errNotTrusted = errors.New("this kept policy was not verified by a key that is trusted now")

// verify takes the word of the history for what was verified before it was kept, as long as its key is trusted.
func (s *Sources) verify(ctx context.Context, src fs.FS, reading *source.Reading) (engine.Verified, error) {
	if kept, ok := src.(engine.VerifiedSource); ok {
		return kept.Verified(), s.Accept(kept.Verified())
	}
	return s.release.Verify(ctx, src, reading)
}

// Accept refuses a policy of the history that was not verified by a key that is trusted now. s may be nil.
func (s *Sources) Accept(v engine.Verified) error {
	switch {
	case s == nil || s.release.Trusts(v.Fingerprint):
		return nil
	case v.By == "":
		return fmt.Errorf("%w: nobody asked for a signature when it was kept", errNotTrusted)
	default:
		return fmt.Errorf("%w: it was verified by %s (%s)", errNotTrusted, v.By, v.Fingerprint)
	}
}

const maxKeyBytes = 1 << 20

// trustedFile reads a file with keys. One in the policy directory, or that others can write, says nothing about whom the
// operator trusts.
func trustedFile(file, policyDir string) ([]byte, error) {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil, err
	}
	if dir, err := filepath.EvalSymlinks(policyDir); err == nil && within(dir, real) {
		return nil, fmt.Errorf("%s lies in the policy directory: who edits the policy must not choose the keys", file)
	}
	if err := errors.Join(private.Check(real), private.Check(filepath.Dir(real))); err != nil {
		return nil, err
	}
	info, err := os.Stat(real)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", file)
	}
	if err != nil {
		return nil, err
	}
	in, err := os.Open(real) //nolint:gosec // the operator's own
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	content, err := io.ReadAll(io.LimitReader(in, maxKeyBytes+1))
	if err == nil && len(content) > maxKeyBytes {
		err = fmt.Errorf("%s has more than %d bytes", file, maxKeyBytes)
	}
	return content, err
}

func within(dir, file string) bool {
	dir, err1 := filepath.Abs(dir)
	file, err2 := filepath.Abs(file)
	rel, err := filepath.Rel(dir, file)
	return errors.Join(err, err1, err2) == nil && filepath.IsLocal(rel) && !strings.HasPrefix(rel, "..")
}
