package worktree_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine/signature/worktree"
)

// policy is a repository with a policy in a folder, committed and signed by ann.
func policy(t *testing.T) (*repo, sshSigner, string) {
	t.Helper()
	r, ann := newRepo(t), newSSH(t, "ann@example.org", "", edKey(t))
	r.write("README.md", "a repository")
	r.write("policies/p.rego", "package p\n\nx := 1\n")
	r.write("policies/sub/q.rego", "package q\n")
	r.write("policies/data.json", `{"a": 1}`)
	r.write("policies/p_test.rego", "package p_test\n")
	return r, ann, r.commit(ann.git(t))
}

func TestACommitThatIsSigned(t *testing.T) {
	r, ann, head := policy(t)
	w := tree(t, worktree.Config{Dir: filepath.Join(r.dir, "policies"), Signers: allowed(t, ann)})
	v, err := verify(t, w, filepath.Join(r.dir, "policies"))
	expectRefused(t, err)
	if v.By != "ann@example.org" || !strings.HasPrefix(v.Fingerprint, "SHA256:") || v.Commit != head || !v.CommitTime.Equal(r.now) || !w.Trusts(v.Fingerprint) {
		t.Errorf("%+v", v)
	}
	// The whole repository as the policy directory.
	_, err = verify(t, tree(t, worktree.Config{Dir: r.dir, Signers: allowed(t, ann)}), r.dir)
	expectRefused(t, err)
}

func TestWhatIsNotAsItWasCommitted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *repo)
		want   []string
	}{
		"another kind of file":   {func(r *repo) { r.write("policies/notes.txt", "x"); r.write("other.rego", "package o\n") }, nil},
		"a changed byte":         {func(r *repo) { r.write("policies/p.rego", "package p\n\nx := 2\n") }, []string{"p.rego file_altered"}},
		"white space":            {func(r *repo) { r.write("policies/data.json", `{"a":1}`) }, []string{"data.json file_altered"}},
		"a changed test":         {func(r *repo) { r.write("policies/p_test.rego", "package t\n") }, []string{"p_test.rego file_altered"}},
		"an added file":          {func(r *repo) { r.write("policies/new.rego", "package new\n") }, []string{"new.rego file_not_signed"}},
		"an added and known one": {func(r *repo) { r.write("policies/new.rego", "package new\n"); r.git("add", "-A") }, []string{"new.rego file_not_signed"}},
		"a missing file":         {func(r *repo) { remove(r, "policies/sub/q.rego") }, []string{"sub/q.rego signed_file_missing"}},
		"a missing test":         {func(r *repo) { remove(r, "policies/p_test.rego") }, []string{"p_test.rego signed_file_missing"}},
		"an assumed file": {func(r *repo) {
			r.git("update-index", "--assume-unchanged", "policies/p.rego")
			r.write("policies/p.rego", "package p\n")
		}, []string{"p.rego file_altered"}},
		"a link in the commit": {func(r *repo) {
			remove(r, "policies/sub/q.rego")
			if err := os.Symlink("../p.rego", filepath.Join(r.dir, "policies/sub/q.rego")); err != nil {
				t.Fatal(err)
			}
		}, []string{"sub/q.rego signed_file_missing"}}, // the engine loads p.rego alone
	} {
		t.Run(name, func(t *testing.T) {
			r, ann, _ := policy(t)
			dir := filepath.Join(r.dir, "policies")
			w := tree(t, worktree.Config{Dir: dir, Signers: allowed(t, ann)})
			_, err := verify(t, w, dir)
			expectRefused(t, err)
			c.change(r)
			_, err = verify(t, w, dir) // with what is remembered
			expectRefused(t, err, c.want...)
			_, err = verify(t, tree(t, worktree.Config{Dir: dir, Signers: allowed(t, ann)}), dir)
			expectRefused(t, err, c.want...)
		})
	}
}

func remove(r *repo, path string) {
	r.t.Helper()
	if err := os.Remove(filepath.Join(r.dir, path)); err != nil {
		r.t.Fatal(err)
	}
}

func TestWhoseCommitItIs(t *testing.T) {
	for name, c := range map[string]struct {
		commit func(t *testing.T, r *repo, ann sshSigner)
		says   string
	}{
		"nobody's": {func(_ *testing.T, r *repo, _ sshSigner) { r.commit(nil) }, "is not signed"},
		"a stranger's": {func(t *testing.T, r *repo, _ sshSigner) {
			r.commit(newSSH(t, "eve", "", edKey(t)).git(t))
		}, "not among the allowed signers"},
		"of another namespace": {func(t *testing.T, r *repo, ann sshSigner) { r.commit(ann.sign(t, "file")) }, "namespace does not match"},
		"of another payload": {func(t *testing.T, r *repo, ann sshSigner) {
			r.commit(func(payload []byte) []byte { return ann.git(t)(append(payload, ' ')) })
		}, "is not what the key"},
		"of OpenPGP": {func(t *testing.T, r *repo, _ sshSigner) { r.commit(signPGP(t, pgpKey(t))) }, "no keyring is trusted"},
		"garbage":    {func(_ *testing.T, r *repo, _ sshSigner) { r.commit(func([]byte) []byte { return []byte("x\ny") }) }, "neither of ssh nor of OpenPGP"},
		"cut off": {func(t *testing.T, r *repo, ann sshSigner) {
			r.commit(func(payload []byte) []byte { return ann.git(t)(payload)[:100] })
		}, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			r, ann, _ := policy(t)
			r.write("policies/p.rego", "package p\n\nx := 3\n")
			c.commit(t, r, ann)
			dir := filepath.Join(r.dir, "policies")
			_, err := verify(t, tree(t, worktree.Config{Dir: dir, Signers: allowed(t, ann)}), dir)
			expectRefused(t, err, "signature_invalid")
			expectMessage(t, err, c.says)
		})
	}
}

// TestRepositoriesInEveryShape: packed, with a detached HEAD, as a linked work tree, as a clone that shares its objects.
func TestRepositoriesInEveryShape(t *testing.T) {
	for name, shape := range map[string]func(r *repo) (dir string){
		"packed": func(r *repo) string {
			r.git("gc", "-q", "--aggressive", "--prune=now")
			return r.dir
		},
		"a detached HEAD": func(r *repo) string { r.git("checkout", "-q", "--detach"); return r.dir },
		"a linked work tree": func(r *repo) string {
			dir := filepath.Join(r.t.TempDir(), "linked")
			r.git("worktree", "add", "-q", "-b", "other", dir)
			return dir
		},
		"a linked work tree of a packed one": func(r *repo) string {
			dir := filepath.Join(r.t.TempDir(), "linked")
			r.git("gc", "-q", "--prune=now")
			r.git("worktree", "add", "-q", "--detach", dir)
			return dir
		},
		"a clone with alternates": func(r *repo) string {
			dir := filepath.Join(r.t.TempDir(), "clone")
			r.git("clone", "-q", "--shared", r.dir, dir)
			return dir
		},
		"a shallow clone": func(r *repo) string {
			dir := filepath.Join(r.t.TempDir(), "clone")
			r.git("clone", "-q", "--depth", "1", "file://"+r.dir, dir)
			return dir
		},
		"through a link": func(r *repo) string {
			dir := filepath.Join(r.t.TempDir(), "current")
			if err := os.Symlink(r.dir, dir); err != nil {
				r.t.Fatal(err)
			}
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, ann, _ := policy(t)
			for i := range 5 { // so that there are deltas
				r.write("policies/data.json", `{"a": "`+strings.Repeat("long ", 200)+string(rune('a'+i))+`"}`)
				r.commit(ann.git(t))
			}
			dir := filepath.Join(shape(r), "policies")
			w := tree(t, worktree.Config{Dir: dir, Signers: allowed(t, ann)})
			_, err := verify(t, w, dir)
			expectRefused(t, err)
			real := *r
			real.dir = dir
			real.write("p.rego", "package p\n\nx := 4\n")
			_, err = verify(t, w, dir)
			expectRefused(t, err, "p.rego file_altered")
		})
	}
}

func TestDirectoriesThatNobodyCommitted(t *testing.T) {
	ann := newSSH(t, "ann", "", edKey(t))
	refused := func(dir, says string) {
		t.Helper()
		w := tree(t, worktree.Config{Dir: dir, Signers: allowed(t, ann)})
		_, err := verify(t, w, dir)
		expectRefused(t, err, "signature_missing")
		expectMessage(t, err, says)
	}
	outside := &repo{t: t, dir: t.TempDir()}
	outside.write("p.rego", "package p\n")
	refused(outside.dir, "no work tree of git")
	empty := newRepo(t)
	empty.write("p.rego", "package p\n")
	refused(empty.dir, "no commit yet")
	r, ann2, _ := policy(t)
	r.write("new/p.rego", "package p\n")
	dir := filepath.Join(r.dir, "new")
	_, err := verify(t, tree(t, worktree.Config{Dir: dir, Signers: allowed(t, ann2)}), dir)
	expectMessage(t, err, "has no folder new")
}

func TestFormatsThatAreRefused(t *testing.T) {
	ann := newSSH(t, "ann", "", edKey(t))
	for format, says := range map[string]string{"--object-format=sha256": "SHA-1 was expected", "--ref-format=reftable": "files were expected"} {
		r := &repo{t: t, dir: t.TempDir(), now: time.Now()}
		if out, err := exec.CommandContext(t.Context(), "git", "init", "-q", format, r.dir).CombinedOutput(); err != nil {
			t.Logf("SKIPPED: this git makes no repository with %s: %s", format, out)
			continue
		}
		r.write("p.rego", "package p\n")
		_, err := verify(t, tree(t, worktree.Config{Dir: r.dir, Signers: allowed(t, ann)}), r.dir)
		expectMessage(t, err, says)
	}
}
