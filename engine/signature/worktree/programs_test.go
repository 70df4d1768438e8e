package worktree_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"defenseclaw/engine/signature/worktree"

	"os"
)

// TestWhatGitAndSSHSign has git's own program sign, with ssh-keygen.
func TestWhatGitAndSSHSign(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("SKIPPED: there is no ssh-keygen in the path: nothing compares with what git's own program signs by it")
	}
	r, keys := newRepo(t), t.TempDir()
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		key := filepath.Join(keys, kind)
		if out, err := exec.CommandContext(t.Context(), keygen, "-q", "-t", kind, "-N", "", "-C", "ann", "-f", key).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
		public, err := os.ReadFile(key + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		signers, err := worktree.ParseAllowedSigners(append([]byte(`ann@example.org namespaces="git" `), public...))
		if err != nil {
			t.Fatal(err)
		}
		r.git("config", "gpg.format", "ssh")
		r.git("config", "user.signingkey", key)
		signAndVerify(t, r, kind, signers)
	}
}

func signAndVerify(t *testing.T, r *repo, kind string, signers worktree.Signers) {
	t.Helper()
	r.write("p.rego", "package p\n\nx := \""+kind+"\"\n")
	r.git("add", "-A")
	r.git("commit", "-q", "-S", "-m", "Signed by "+kind)
	r.git("tag", "-s", "-m", "A release", "v-"+kind)
	for _, asTag := range []bool{false, true} {
		w := tree(t, worktree.Config{Dir: r.dir, Tag: asTag, Signers: signers})
		v, err := verify(t, w, r.dir)
		expectRefused(t, err)
		if v.Commit != r.git("rev-parse", "HEAD") {
			t.Errorf("%s: %+v", kind, v)
		}
	}
	r.write("p.rego", "package p\n")
	_, err := verify(t, tree(t, worktree.Config{Dir: r.dir, Signers: signers}), r.dir)
	expectRefused(t, err, "p.rego file_altered")
	r.git("checkout", "-q", ".")
}

// TestWhatGitAndGPGSign is the same with OpenPGP.
func TestWhatGitAndGPGSign(t *testing.T) {
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		t.Skip("SKIPPED: there is no gpg in the path: nothing compares with what git's own program signs by it")
	}
	home, err := os.MkdirTemp("", "gpg") //nolint:usetesting // the path of its socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	t.Setenv("GNUPGHOME", home)
	for _, args := range [][]string{
		{"--batch", "--passphrase", "", "--quick-gen-key", "Ann <ann@example.org>", "ed25519", "sign", "1d"},
	} {
		if out, err := exec.CommandContext(t.Context(), gpg, args...).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: this gpg makes no key: %s", out)
		}
	}
	public, err := exec.CommandContext(t.Context(), gpg, "--armor", "--export").Output()
	if err != nil {
		t.Fatal(err)
	}
	signers, err := worktree.ParseKeyring(public)
	if err != nil {
		t.Fatal(err)
	}
	r := newRepo(t)
	r.git("config", "user.signingkey", "ann@example.org")
	signAndVerify(t, r, "gpg", signers)
}
