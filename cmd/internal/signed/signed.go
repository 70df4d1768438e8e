// Package signed makes of the settings what finds out who signed a policy directory. [New] reads the keys, [Sources.Func] is
// what the engine asks.
package signed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/engine"
	"defenseclaw/engine/bundle"
	"defenseclaw/engine/signature"
	"defenseclaw/engine/signature/worktree"
	"defenseclaw/engine/source"
)

// Sources finds out who signed what may come to serve. Safe for concurrent use.
type Sources struct {
	release  *signature.Release // nil: no file of signatures is asked for
	worktree *worktree.Worktree // nil: no commit of git is
	newest   *newest            // nil: older commits are taken

	bundles map[string]*signature.Release // by the names of bundles of OPA's configuration; nil: it asks for no signature
}

// Asked reports whether the settings ask for a signature.
func Asked(s settings.Signature) bool { return len(s.Keys) > 0 || asksGit(s) }

func asksGit(s settings.Signature) bool { return s.Git == "commit" || s.Git == "tag" }

// New reads the keys that the settings name. It returns nil where they ask for no signature.
func New(set settings.Settings) (*Sources, error) {
	s := set.Signature
	if all, err := newBundles(set.Source.OPA); all != nil || err != nil {
		if err == nil && Asked(s) {
			err = errors.New("the settings signature.* and the keys of OPA's configuration are both set: one of them was expected")
		}
		return all, err
	}
	switch {
	case len(s.Keys) == 0 && s.Scope != "":
		return nil, errors.New("signature.scope is set, and signature.keys names no key")
	case !asksGit(s) && (s.AllowedSigners != "" || s.Keyring != "" || s.Monotonic):
		return nil, errors.New("signature.allowed_signers, signature.keyring and signature.monotonic are about signature.git, which is off: set it to commit or tag")
	case !Asked(s):
		return nil, nil
	case asksGit(s) && set.PolicyDir == "":
		return nil, errors.New("signature.git asks for a policy directory in a worktree of git, and none is set or found: set --policy-dir")
	case set.Place() == "":
		return nil, errors.New("the settings signature.* ask for a signed policy, and neither a directory nor a source is set or found: set --policy-dir or --source")
	}
	release, err := newRelease(set)
	if err != nil {
		return nil, fmt.Errorf("signature.keys: %w", err)
	}
	all := &Sources{release: release}
	if asksGit(s) {
		if err := all.addWorktree(set); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// newRelease is nil where no key is named.
func newRelease(set settings.Settings) (*signature.Release, error) {
	s := set.Signature
	if len(s.Keys) == 0 {
		return nil, nil
	}
	if s.Scope == "" {
		return nil, errors.New("signature.scope is needed too: the same key may sign other policies")
	}
	var keys []signature.Key
	for _, k := range s.Keys {
		content, err := trustedFile(k.File, set.PolicyDir)
		if err != nil {
			return nil, err
		}
		key, err := signature.ParseKey(k.ID, k.Algorithm, content)
		if err != nil {
			return nil, fmt.Errorf("the key %q, %s: %w", k.ID, k.File, err)
		}
		keys = append(keys, key)
	}
	return signature.NewRelease(signature.Config{Keys: keys, Scope: s.Scope})
}

func (s *Sources) addWorktree(set settings.Settings) error {
	cfg := worktree.Config{Dir: set.PolicyDir, Tag: set.Signature.Git == "tag"}
	for _, from := range []struct {
		key, file string
		parse     func([]byte) (worktree.Signers, error)
	}{
		{"signature.allowed_signers", set.Signature.AllowedSigners, worktree.ParseAllowedSigners},
		{"signature.keyring", set.Signature.Keyring, worktree.ParseKeyring},
	} {
		if from.file == "" {
			continue
		}
		content, err := trustedFile(from.file, set.PolicyDir)
		if err != nil {
			return fmt.Errorf("%s: %w", from.key, err)
		}
		signers, err := from.parse(content)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", from.key, from.file, err)
		}
		cfg.Signers = cfg.Signers.Join(signers)
	}
	if set.Signature.AllowedSigners == "" && set.Signature.Keyring == "" {
		return errors.New("signature.git needs signature.allowed_signers or signature.keyring: whose signature counts")
	}
	if set.Signature.Monotonic {
		var err error
		if s.newest, err = openNewest(set.NewestCommitFile(set.PolicyDir)); err != nil {
			return err
		}
		cfg.Newest = s.newest.get
	}
	var err error
	s.worktree, err = worktree.New(cfg)
	return err
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
	var all engine.Verified
	for _, verify := range s.all() {
		v, err := verify.Verify(ctx, src, reading)
		if err != nil {
			return engine.Verified{}, err
		}
		if all.By == "" {
			all = v
			continue
		}
		all.By, all.Fingerprint = all.By+separator+v.By, all.Fingerprint+separator+v.Fingerprint
		all.Commit, all.CommitTime = v.Commit, v.CommitTime
	}
	return all, nil
}

// separator is between two who signed, and between the fingerprints of their keys.
const separator = " and "

// verifier is a way to find out who signed.
type verifier interface {
	Verify(context.Context, fs.FS, *source.Reading) (engine.Verified, error)
	Trusts(fingerprint string) bool
}

// all are the ways that are asked for: each has to agree. s may be nil.
func (s *Sources) all() (ways []verifier) {
	if s == nil {
		return nil
	}
	if s.release != nil {
		ways = append(ways, s.release)
	}
	if s.worktree != nil {
		ways = append(ways, s.worktree)
	}
	for name, release := range s.bundles {
		if !release.Optional() {
			ways = append(ways, bundleKeys{release, name})
		}
	}
	return ways
}

// Accept refuses a policy of the history that was not verified by a key that is trusted now. s may be nil.
func (s *Sources) Accept(v engine.Verified) error {
	ways := s.all()
	if len(ways) == 0 {
		return nil
	}
	if v.By == "" {
		return fmt.Errorf("%w: nobody asked for a signature when it was kept", errNotTrusted)
	}
	for _, way := range ways {
		trusted := false
		for fingerprint := range strings.SplitSeq(v.Fingerprint, separator) {
			trusted = trusted || way.Trusts(fingerprint)
		}
		if !trusted {
			return fmt.Errorf("%w: it was verified by %s (%s)", errNotTrusted, v.By, v.Fingerprint)
		}
	}
	return nil
}

// Serves notes who signed what the files hold, which serves: later commits have to follow it. s may be nil.
func (s *Sources) Serves(v engine.Verified) error {
	if s == nil || s.newest == nil || v.Commit == "" {
		return nil
	}
	return s.newest.set(v.Commit, v.CommitTime)
}

// VerifyBundle says who signed a bundle, of the bytes that were read. s may be nil: then nobody is asked for.
func (s *Sources) VerifyBundle(signatures []byte, files []bundle.File) (engine.Verified, error) {
	return s.VerifyNamed("", signatures, files)
}

// VerifyNamed is VerifyBundle for one of several, which may each have keys of its own.
func (s *Sources) VerifyNamed(name string, signatures []byte, files []bundle.File) (engine.Verified, error) {
	switch {
	case s == nil || s.release == nil && s.bundles[name] == nil:
		return engine.Verified{}, nil
	case s.release != nil:
		return s.release.VerifyBundle(signatures, files)
	}
	v, err := s.bundles[name].VerifyBundle(signatures, files)
	if err != nil || v.By == "" {
		return v, err
	}
	return engine.Verified{By: name + ": " + v.By, Fingerprint: name + of + v.Fingerprint}, nil
}
