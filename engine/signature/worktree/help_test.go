package worktree_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/signature/worktree"
	"defenseclaw/engine/source"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// repo is a work tree, made by git's own program; what is signed is signed here.
type repo struct {
	t   *testing.T
	dir string
	now time.Time // of the next commit
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	r := &repo{t, t.TempDir(), time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repo) git(args ...string) string { r.t.Helper(); return r.gitIn("", args...) }

func (r *repo) gitIn(input string, args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir, cmd.Stdin = r.dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %q: %v: %s", args, err, complaint.String())
	}
	return strings.TrimSpace(string(out))
}

func (r *repo) write(path, text string) {
	r.t.Helper()
	path = filepath.Join(r.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repo) who() string { return fmt.Sprintf("Ann <ann@example.org> %d +0100", r.now.Unix()) }

// commit makes a commit of all files, which sign signs; nil: nobody does. HEAD moves to it.
func (r *repo) commit(sign func(payload []byte) []byte) string {
	r.t.Helper()
	r.git("add", "-A")
	return r.commitTree(r.git("write-tree"), sign)
}

func (r *repo) commitTree(tree string, sign func(payload []byte) []byte) string {
	r.t.Helper()
	r.now = r.now.Add(time.Minute)
	head := "tree " + tree + "\n"
	if out, err := exec.CommandContext(r.t.Context(), "git", "-C", r.dir, "rev-parse", "-q", "--verify", "HEAD").Output(); err == nil {
		head += "parent " + strings.TrimSpace(string(out)) + "\n"
	}
	head += "author " + r.who() + "\ncommitter " + r.who() + "\n"
	const message = "\nA change\n\ngpgsig is no header here\n"
	text := head + message
	if sign != nil {
		text = head + "gpgsig " + strings.ReplaceAll(strings.TrimSpace(string(sign([]byte(text)))), "\n", "\n ") + "\n" + message
	}
	hash := r.gitIn(text, "hash-object", "-t", "commit", "-w", "--stdin")
	r.git("update-ref", "HEAD", hash)
	return hash
}

// tag makes an annotated tag of a commit.
func (r *repo) tag(ref, name, target, kind string, sign func(payload []byte) []byte) {
	r.t.Helper()
	text := fmt.Sprintf("object %s\ntype %s\ntag %s\ntagger %s\n\nA release\n", target, kind, name, r.who())
	if sign != nil {
		text += string(sign([]byte(text)))
	}
	r.git("update-ref", "refs/tags/"+ref, r.gitIn(text, "hash-object", "-t", "tag", "-w", "--stdin"))
}

// sshSigner signs as ssh-keygen -Y sign does, and line is its line in the file of allowed signers.
type sshSigner struct {
	signer ssh.Signer
	line   string
}

func newSSH(t *testing.T, name, options string, key crypto.Signer) sshSigner {
	t.Helper()
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return sshSigner{signer, strings.TrimSpace(name+" "+options) + " " + string(ssh.MarshalAuthorizedKey(signer.PublicKey()))}
}

func edKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (s sshSigner) sign(t *testing.T, namespace string) func([]byte) []byte {
	t.Helper()
	return func(payload []byte) []byte {
		signature, err := sshsig.Sign(bytes.NewReader(payload), s.signer, sshsig.HashSHA512, namespace)
		if err != nil {
			t.Fatal(err)
		}
		return sshsig.Armor(signature)
	}
}

func (s sshSigner) git(t *testing.T) func([]byte) []byte { t.Helper(); return s.sign(t, "git") }

func allowed(t *testing.T, signers ...sshSigner) worktree.Signers {
	t.Helper()
	var text string
	for _, s := range signers {
		text += s.line
	}
	s, err := worktree.ParseAllowedSigners([]byte("# comment\n\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pgpKey(t *testing.T) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("Ann", "", "ann@example.org", nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func keyring(t *testing.T, e *openpgp.Entity) worktree.Signers {
	t.Helper()
	var text bytes.Buffer
	if err := e.Serialize(&text); err != nil {
		t.Fatal(err)
	}
	s, err := worktree.ParseKeyring(text.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signPGP(t *testing.T, e *openpgp.Entity) func([]byte) []byte {
	t.Helper()
	return func(payload []byte) []byte {
		var out bytes.Buffer
		if err := openpgp.ArmoredDetachSign(&out, e, bytes.NewReader(payload), nil); err != nil {
			t.Fatal(err)
		}
		return append(out.Bytes(), '\n')
	}
}

// verify reads a directory as the engine does, with what was read of it before.
func verify(t *testing.T, w *worktree.Worktree, dir string) (engine.Verified, error) {
	t.Helper()
	src, err := source.Open(dir, source.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	reading, err := source.Read(t.Context(), src, source.Options{TestsAside: true})
	if err != nil {
		t.Fatal(err)
	}
	return w.Verify(t.Context(), src, reading)
}

func tree(t *testing.T, cfg worktree.Config) *worktree.Worktree {
	t.Helper()
	w, err := worktree.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func expectRefused(t *testing.T, err error, want ...string) {
	t.Helper()
	var list diagnostic.List
	if err != nil && !errors.As(err, &list) {
		t.Fatalf("%v is no list of diagnostics", err)
	}
	got := []string{}
	for _, d := range list {
		got = append(got, strings.TrimSpace(d.File+" "+d.Code))
	}
	if !slices.Equal(got, want) {
		t.Errorf("refused for %q (%v), want %q", got, err, want)
	}
}

func expectMessage(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error %v, want one that says %q", err, part)
	}
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
