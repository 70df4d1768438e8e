package sidecar

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
)

// named is a user as actors are written.
func named(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return "uid:" + id + " (" + u.Username + ")"
	}
	return "uid:" + id
}

// editOf is the report of an attempt that failed, which needs no generation.
func editOf(paths ...string) engine.Report {
	return engine.Report{Result: engine.Failed, StartedAt: time.Now(), Trigger: engine.Trigger{Kind: engine.TriggerWatch, Paths: paths}}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheActorOfAnEditOwnsTheFile(t *testing.T) {
	if os.Getuid() < 0 {
		t.Skip("files have no owners here that can be told")
	}
	dir := t.TempDir()
	put(t, dir, "a.rego", "x")
	put(t, dir, "team/b.rego", "x")
	own := named(os.Getuid())
	w := newWho(dir)
	broken := editOf()
	broken.Refused = &engine.Refused{Diagnostics: diagnostic.List{{File: "a.rego"}}}
	asked := editOf("a.rego")
	asked.Trigger.Actor, asked.Trigger.Kind = "ci", engine.TriggerAPI
	hup := editOf()
	hup.Trigger.Actor, hup.Trigger.Kind = "SIGHUP", engine.TriggerSignal
	for name, tt := range map[string]struct {
		report engine.Report
		want   string
	}{
		"a file":                      {editOf("a.rego"), own},
		"two files of one user":       {editOf("a.rego", "team/b.rego"), own},
		"a file that is gone":         {editOf("team/gone.rego"), own},
		"a folder that is gone":       {editOf("x/y/gone.rego"), own},
		"no file is known":            {editOf(), own},
		"the diagnostics name a file": {broken, own},
		"a name that leads out":       {editOf("../../etc/passwd"), own},
		"a caller asked":              {asked, "ci"},
		"a signal":                    {hup, "SIGHUP"},
	} {
		if got := w.actor(tt.report); got != tt.want {
			t.Errorf("%s: %q; want %q", name, got, tt.want)
		}
	}
	if got := newWho("").actor(engine.Report{Trigger: engine.Trigger{Kind: engine.TriggerStartup}}); got != "startup" {
		t.Errorf("the embedded pack: %q", got)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	if err := os.Chown(filepath.Join(dir, "team", "b.rego"), 12345, -1); err != nil {
		t.Fatal(err)
	}
	both := editOf("a.rego", "team/b.rego")
	if got, want := w.actor(both), own+", uid:12345"; got != want {
		t.Errorf("files of two users: %q; want %q", got, want)
	}
	if err := os.Remove(filepath.Join(dir, "team", "b.rego")); err != nil {
		t.Fatal(err)
	}
	if got, want := w.actor(both), own+", uid:12345"; got != want {
		t.Errorf("another announcement of the same report: %q; want %q", got, want)
	}
}

func TestTheActorOfAnEditByGitMovedHead(t *testing.T) {
	if os.Getuid() < 0 {
		t.Skip("files have no owners here that can be told")
	}
	repo := t.TempDir()
	dir := filepath.Join(repo, "policy", "rego")
	put(t, dir, "a.rego", "x")
	zero, one := strings.Repeat("0", 40), strings.Repeat("1", 40)
	move := func(name string, at time.Time, what string) string {
		return fmt.Sprintf("%s %s %s <%s@corp.example> %d +0200\t%s\n", zero, one, name, name, at.Unix(), what)
	}
	log := move("jane", time.Now().Add(-time.Hour), "commit: one > two")
	put(t, repo, ".git/logs/HEAD", log)
	w := newWho(dir)
	own := named(os.Getuid())
	is := func(want string) {
		t.Helper()
		if got := w.actor(editOf("a.rego")); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
	is(own)
	log += move("joe", time.Now(), "pull: Fast-forward")
	put(t, repo, ".git/logs/HEAD", log)
	is(own + ", git: joe <joe@corp.example>")
	is(own) // HEAD stays, and somebody edits the file
	log += move("jim", time.Now().Add(-time.Minute), "commit: of files that were there")
	put(t, repo, ".git/logs/HEAD", log)
	is(own)
	put(t, repo, ".git/logs/HEAD", log+"nonsense\n")
	is(own)
	if err := os.RemoveAll(filepath.Join(repo, ".git")); err != nil {
		t.Fatal(err)
	}
	put(t, repo, "elsewhere/logs/HEAD", log+move("ann", time.Now(), "checkout"))
	put(t, repo, ".git", "gitdir: elsewhere\n") // a linked work tree
	is(own + ", git: ann <ann@corp.example>")
}
