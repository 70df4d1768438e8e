package examples_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A workflow has what the example may use of GitHub's syntax. What else it has is an error.
type workflow struct {
	Name        string
	On          map[string]map[string][]string
	Permissions map[string]string
	Defaults    struct{ Run struct{ Shell string } }
	Jobs        map[string]struct {
		RunsOn         string `yaml:"runs-on"`
		TimeoutMinutes int    `yaml:"timeout-minutes"`
		Env            map[string]string
		Steps          []step
	}
}

type step struct {
	Name, Uses, Run string
	With, Env       map[string]string
}

// A runner runs the steps of a job that are scripts, as GitHub's does, in a clone of a pull request's merge.
type runner struct {
	t       *testing.T
	vars    map[string]string
	work    string // the checkout
	temp    string
	summary string
}

func TestTheWorkflowJudgesPullRequests(t *testing.T) {
	needs(t, "bash")
	needs(t, "curl")
	text := read(t, root+"github/policy.yaml")
	var w workflow
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&w); err != nil {
		t.Fatal(err)
	}
	if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" || w.Defaults.Run.Shell != "bash" || w.Jobs["policy"].TimeoutMinutes == 0 {
		t.Errorf("permissions %v, shell %q", w.Permissions, w.Defaults.Run.Shell)
	}
	for _, use := range regexp.MustCompile(`uses: .*`).FindAllString(text, -1) {
		if !regexp.MustCompile(`^uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`).MatchString(use) {
			t.Errorf("%s is not one of GitHub's, at a commit whose version is told", use)
		}
	}
	const before = "package app\n\ndefault allow := false\n\nallow if input.user == \"ann\"\n"
	const proof = "package app_test\n\nimport data.app\n\ntest_ann if app.allow with input as {\"user\": \"ann\"}\n"
	tests := []struct {
		name, after, failed string
		says                []string
	}{
		{"a sound change", strings.Replace(before, `"ann"`, `input.owner`, 1) + "\nallow if input.user == \"ann\"\n", "",
			[]string{"## What this changes in the policy\n\n    ", "data.app.allow", "input.owner"}},
		{"no change", before, "", []string{"## What this changes in the policy"}},
		{"what does not load", before + "allow := :=\n", "validate", []string{"::error file=", "app.rego", "line=6"}},
		{"a test that fails", strings.Replace(before, `"ann"`, `"bob"`, 1), "test", []string{"test_ann"}},
		{"text of Markdown", before + "\nnote := \"```\\n# done\" if input.x\n", "", []string{"data.app.note"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t, before, tt.after, proof)
			failed, output := r.run(w)
			said := output + read(t, r.summary)
			if failed != tt.failed {
				t.Errorf("step %q failed, not %q:\n%s", failed, tt.failed, said)
			}
			for _, want := range tt.says {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in:\n%s", want, said)
				}
			}
			_, shown, _ := strings.Cut(read(t, r.summary), "\n\n")
			for _, line := range strings.Split(strings.TrimSuffix(shown, "\n"), "\n") {
				if line != "" && !strings.HasPrefix(line, "    ") {
					t.Errorf("%q is Markdown", line)
				}
			}
		})
	}
	t.Run("another archive", func(t *testing.T) {
		r := newRunner(t, before, before, proof)
		r.vars["DEFENSECLAW_SHA256"] = strings.Repeat("0", 64)
		if failed, output := r.run(w); failed != "get the program" {
			t.Errorf("step %q failed:\n%s", failed, output)
		}
	})
}

// newRunner makes a repository whose HEAD is the merge of a change into what was before, and an archive of the program.
func newRunner(t *testing.T, before, after, proof string) *runner {
	t.Helper()
	r := &runner{t: t, work: t.TempDir(), temp: t.TempDir()}
	r.summary = filepath.Join(t.TempDir(), "summary.md")
	write(t, r.summary, "")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Dir = r.work
		cmd.Env = append(environment(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		if out := run(t, cmd); out.code != 0 {
			t.Fatalf("git %v: %v", args, out)
		}
	}
	policy := filepath.Join(r.work, "policy")
	if err := os.Mkdir(policy, 0o700); err != nil {
		t.Fatal(err)
	}
	git("init", "-q", "-b", "main")
	write(t, filepath.Join(policy, "app.rego"), before)
	write(t, filepath.Join(policy, "app_test.rego"), proof)
	git("add", ".")
	git("commit", "-q", "-m", "before")
	git("switch", "-q", "-c", "change")
	write(t, filepath.Join(policy, "app.rego"), after)
	git("commit", "-q", "--allow-empty", "-a", "-m", "after")
	git("switch", "-q", "main")
	git("merge", "-q", "--no-ff", "-m", "merge", "change")

	path, sum := archive(t)
	r.vars = map[string]string{"DEFENSECLAW_URL": "file://" + path, "DEFENSECLAW_SHA256": sum}
	return r
}

// archive packs the program as a release does.
func archive(t *testing.T) (path, sum string) {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	files := tar.NewWriter(zipped)
	bin := onPath(t)
	for _, name := range []string{"defenseclaw", "defenseclaw-gateway"} {
		text := read(t, filepath.Join(bin, name))
		if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "defenseclaw.tar.gz")
	write(t, path, packed.String())
	return path, fmt.Sprintf("%x", sha256.Sum256(packed.Bytes()))
}

// run runs the job until a step fails, and returns the name of that step, and what all wrote.
func (r *runner) run(w workflow) (failed, output string) {
	r.t.Helper()
	job := w.Jobs["policy"]
	pathFile := filepath.Join(r.temp, "path")
	write(r.t, pathFile, "")
	for _, s := range job.Steps {
		if s.Uses != "" { // the checkout, which newRunner made
			continue
		}
		env := append(environment(), "CI=true", "GITHUB_STEP_SUMMARY="+r.summary, "GITHUB_PATH="+pathFile,
			"GITHUB_WORKSPACE="+r.work, "RUNNER_TEMP="+r.temp, "HOME="+r.temp)
		for _, of := range []map[string]string{job.Env, s.Env} {
			for name, value := range of {
				env = append(env, name+"="+r.expand(value))
			}
		}
		path := strings.Split(strings.TrimSpace(read(r.t, pathFile)), "\n")
		env = append(env, "PATH="+strings.Join(append(path, os.Getenv("PATH")), ":"))
		script := filepath.Join(r.temp, "script.sh")
		write(r.t, script, r.expand(s.Run))
		cmd := exec.CommandContext(r.t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", script)
		cmd.Dir, cmd.Env = r.work, env
		out := run(r.t, cmd)
		output += out.stdout + out.stderr
		if out.code != 0 {
			return s.Name, output
		}
	}
	return "", output
}

// expand puts in the values of expressions. Only variables of the repository are used.
func (r *runner) expand(text string) string {
	return regexp.MustCompile(`\$\{\{.*?\}\}`).ReplaceAllStringFunc(text, func(expression string) string {
		value, ok := r.vars[strings.TrimPrefix(strings.Trim(expression, "${} "), "vars.")]
		if !ok {
			r.t.Errorf("%s is not known here", expression)
		}
		return value
	})
}
