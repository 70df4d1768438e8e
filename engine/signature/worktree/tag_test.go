package worktree_test

import (
	"path/filepath"
	"testing"
	"time"

	"defenseclaw/engine/signature/worktree"
)

func TestATagThatIsSigned(t *testing.T) {
	for name, c := range map[string]struct {
		tag  func(t *testing.T, r *repo, ann sshSigner, head, older string)
		says string // empty: it is accepted
	}{
		"signed": {func(t *testing.T, r *repo, ann sshSigner, head, _ string) {
			r.tag("v1", "v1", head, "commit", ann.git(t))
		}, ""},
		"none":       {func(*testing.T, *repo, sshSigner, string, string) {}, "has no annotated tag"},
		"light":      {func(_ *testing.T, r *repo, _ sshSigner, _, _ string) { r.git("tag", "v1") }, "has no annotated tag"},
		"not signed": {func(_ *testing.T, r *repo, _ sshSigner, head, _ string) { r.tag("v1", "v1", head, "commit", nil) }, "the tag v1 is not signed"},
		"a stranger's": {func(t *testing.T, r *repo, _ sshSigner, head, _ string) {
			r.tag("v1", "v1", head, "commit", newSSH(t, "eve", "", edKey(t)).git(t))
		}, "not among the allowed"},
		"of another commit": {func(t *testing.T, r *repo, ann sshSigner, _, older string) {
			r.tag("v1", "v1", older, "commit", ann.git(t))
		}, "has no annotated tag"},
		"under another name": {func(t *testing.T, r *repo, ann sshSigner, head, _ string) {
			r.tag("v2", "v1", head, "commit", ann.git(t))
		}, "the tag v2 is called v1"},
		"one of several": {func(t *testing.T, r *repo, ann sshSigner, head, older string) {
			r.tag("v0", "v0", older, "commit", ann.git(t))
			r.tag("v1", "v1", head, "commit", nil)
			r.tag("v2", "v2", head, "commit", ann.git(t))
			r.tag("v3", "v3", head, "commit", newSSH(t, "eve", "", edKey(t)).git(t))
			r.git("pack-refs", "--all")
		}, ""},
		"of a folder in its name": {func(t *testing.T, r *repo, ann sshSigner, head, _ string) {
			r.tag("release/1", "release/1", head, "commit", ann.git(t))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, ann, older := policy(t)
			r.write("policies/p.rego", "package p\n\nx := 2\n")
			head := r.commit(nil)
			c.tag(t, r, ann, head, older)
			dir := filepath.Join(r.dir, "policies")
			v, err := verify(t, tree(t, worktree.Config{Dir: dir, Tag: true, Signers: allowed(t, ann)}), dir)
			if c.says != "" {
				expectRefused(t, err, "signature_invalid")
				expectMessage(t, err, c.says)
				return
			}
			expectRefused(t, err)
			if v.Commit != head {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestATagThatIsGoneCountsNoMore(t *testing.T) {
	r, ann, head := policy(t)
	r.tag("v1", "v1", head, "commit", ann.git(t))
	dir := filepath.Join(r.dir, "policies")
	w := tree(t, worktree.Config{Dir: dir, Tag: true, Signers: allowed(t, ann)})
	_, err := verify(t, w, dir)
	expectRefused(t, err)
	r.git("tag", "-d", "v1")
	_, err = verify(t, w, dir)
	expectRefused(t, err, "signature_invalid")
}

// TestAnOlderCommitIsRefused: an old commit is as well signed as the newest one.
func TestAnOlderCommitIsRefused(t *testing.T) {
	r, ann, first := policy(t)
	firstMade := r.now
	dir := filepath.Join(r.dir, "policies")
	r.write("policies/p.rego", "package p\n\nx := 2\n")
	second := r.commit(ann.git(t))
	made := r.now
	served, at := second, made
	w := tree(t, worktree.Config{Dir: dir, Signers: allowed(t, ann), Newest: func() (string, time.Time) { return served, at }})
	_, err := verify(t, w, dir)
	expectRefused(t, err)

	r.git("checkout", "-q", first)
	_, err = verify(t, w, dir)
	expectRefused(t, err, "commit_older")
	expectMessage(t, err, "is an ancestor of "+second[:12])

	served, at = "", time.Time{} // nothing served yet
	_, err = verify(t, w, dir)
	expectRefused(t, err)
	served, at = first, firstMade
	r.git("checkout", "-q", "main")
	_, err = verify(t, w, dir) // forward
	expectRefused(t, err)

	// Beside it: neither is the other's ancestor.
	r.git("checkout", "-q", "-b", "side", first)
	r.write("policies/p.rego", "package p\n\nx := 5\n")
	r.commit(ann.git(t))
	served, at = second, made
	_, err = verify(t, w, dir)
	expectRefused(t, err)

	// A shallow clone does not have what served. The time, which is signed, tells.
	clone := filepath.Join(t.TempDir(), "clone")
	r.git("clone", "-q", "--depth", "1", "--branch", "main", "file://"+r.dir, clone)
	dir = filepath.Join(clone, "policies")
	shallow := tree(t, worktree.Config{Dir: dir, Signers: allowed(t, ann), Newest: func() (string, time.Time) { return served, at }})
	served, at = "1111111111111111111111111111111111111111", made.Add(time.Hour)
	_, err = verify(t, shallow, dir)
	expectRefused(t, err, "commit_older")
	expectMessage(t, err, "is older than 111111111111")
	at = made.Add(-time.Hour)
	_, err = verify(t, shallow, dir)
	expectRefused(t, err)
}
