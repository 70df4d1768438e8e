package tokens_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/api/gate"
	"defenseclaw/cmd/internal/tokens"
)

func add(t *testing.T, s tokens.Store, name string, lasts time.Duration) string {
	t.Helper()
	token, _, err := s.Add(t.Context(), name, gate.ScopeDecide|gate.ScopeRead, lasts)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// follow returns a follower, and what it reported.
func follow(t *testing.T, s tokens.Store) (*tokens.Follower, *[]string) {
	t.Helper()
	problems := &[]string{}
	f, err := tokens.Follow(s, func(err error) { *problems = append(*problems, err.Error()) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f, problems
}

func finds(f *tokens.Follower, token string) string {
	found, ok := f.Find(gate.DigestOf(token))
	if !ok {
		return ""
	}
	return found.Name + ":" + found.Scopes.String()
}

func TestTheFileHoldsNoToken(t *testing.T) {
	s := tokens.Store{DataDir: t.TempDir()}
	token := add(t, s, "ci", 0)
	if !regexp.MustCompile(`^dc_[0-9a-f]{64}$`).MatchString(token) {
		t.Errorf("scanners for secrets do not recognize %q", token)
	}
	text, err := os.ReadFile(s.Path())
	if err != nil || strings.Contains(string(text), strings.TrimPrefix(token, tokens.Prefix)) {
		t.Errorf("%s %v", text, err)
	}
	info, err := os.Stat(s.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestTokensAreRotatedWhileASidecarRuns(t *testing.T) {
	s := tokens.Store{DataDir: t.TempDir()}
	f, problems := follow(t, s)
	old := add(t, s, "ci-1", 0)
	if got := finds(f, old); got != "ci-1:decide,read" {
		t.Errorf("a new token is %q", got)
	}
	renewed := add(t, s, "ci-2", time.Hour)
	if finds(f, old) == "" || finds(f, renewed) == "" {
		t.Error("while tokens are rotated, both are good")
	}
	if err := s.Revoke(t.Context(), "ci-1"); err != nil {
		t.Fatal(err)
	}
	if finds(f, old) != "" || finds(f, renewed) == "" {
		t.Error("the old token is good after it was revoked, or the new one is not")
	}
	if err := s.Revoke(t.Context(), "ci-1"); err == nil || !strings.Contains(err.Error(), "no token named ci-1") {
		t.Error(err)
	}
	if err := os.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond) // longer than between two looks
	if finds(f, renewed) != "" || len(*problems) > 0 {
		t.Errorf("without the file a token is good; %v", *problems)
	}
}

func TestALineThatCannotBeReadCostsOneToken(t *testing.T) {
	s := tokens.Store{DataDir: t.TempDir()}
	good := add(t, s, "good", 0)
	text, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{
		`{"name":`, `{"name":"x","scopes":["decide"],"sha256":"00"}`, `{"name":"x","scopes":["root"],"sha256":"` + strings.Repeat("00", 32) + `"}`,
		`{"name":"x","scopes":[],"sha256":"` + strings.Repeat("00", 32) + `"}`, `{"name":"default","scopes":["admin"],"sha256":"` + strings.Repeat("00", 32) + `"}`,
		`{"name":"x","scopes":["decide"],"sha256":"` + strings.Repeat("zz", 32) + `"}`, `{"name":"x","scopes":["decide"],"sha256":"` + strings.Repeat("00", 33) + `"}`,
	} {
		if err := os.WriteFile(s.Path(), []byte(broken+"\n\n"+string(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		f, problems := follow(t, s)
		if finds(f, good) != "good:decide,read" || len(*problems) != 1 || !strings.Contains((*problems)[0], "tokens.jsonl:1: ") {
			t.Errorf("%s: %q", broken, *problems)
		}
		add(t, s, "more", 0) // keeps the line
		if now, err := os.ReadFile(s.Path()); err != nil || !strings.Contains(string(now), broken) {
			t.Errorf("%s %v", now, err)
		}
	}
}

func TestNoTokenIsTakenFromAFileThatOthersCanWrite(t *testing.T) {
	s := tokens.Store{DataDir: t.TempDir()}
	token := add(t, s, "ci", 0)
	f, problems := follow(t, s)
	if err := os.Chmod(s.Path(), 0o660); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond) // longer than between two looks
	if finds(f, token) != "" || len(*problems) != 1 || !strings.Contains((*problems)[0], "can be written by others (mode 0660): run chmod go-w") {
		t.Errorf("%v", *problems)
	}
	if _, err := tokens.Follow(s, nil, nil); err == nil {
		t.Error("a sidecar starts with it")
	}
	if err := os.Chmod(s.Path(), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond)
	if finds(f, token) == "" {
		t.Error("it stays refused after it was mended")
	}
}

func TestATokenNeedsAProperNameScopeAndTime(t *testing.T) {
	s := tokens.Store{DataDir: t.TempDir()}
	for _, name := range []string{"", "-x", "a b", "a\nb", "a/b", "é", "default", "Default", "watch", "SIGHUP", "uid:0", strings.Repeat("a", 64)} {
		if _, _, err := s.Add(t.Context(), name, gate.ScopeDecide, 0); err == nil {
			t.Errorf("a token is named %q", name)
		}
	}
	add(t, s, "ci", 0)
	if _, _, err := s.Add(t.Context(), "ci", gate.ScopeDecide, 0); err == nil {
		t.Error("two tokens have one name")
	}
	if _, _, err := s.Add(t.Context(), "none", 0, 0); err == nil {
		t.Error("a token has no scope")
	}
}

func TestTokensThatAreMadeAtOnceAreAllKept(t *testing.T) {
	s := tokens.Store{DataDir: t.TempDir()}
	const n = 20
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if _, _, err := s.Add(t.Context(), fmt.Sprintf("t%d", i), gate.ScopeDecide, 0); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if entries, _, err := s.List(); err != nil || len(entries) != n {
		t.Errorf("%d of %d, %v", len(entries), n, err)
	}
}

func TestChangesAreAnnounced(t *testing.T) {
	s := tokens.Store{DataDir: t.TempDir()}
	told := make(chan string, 10)
	names := func(entries []tokens.Entry) (all []string) {
		for _, e := range entries {
			all = append(all, e.Name)
		}
		return all
	}
	add(t, s, "before", 0)
	f, err := tokens.Follow(s, func(err error) { t.Error(err) }, func(added, removed []tokens.Entry) { told <- fmt.Sprint(names(added), names(removed)) })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	add(t, s, "new", 0)
	if got := <-told; got != "[new] []" {
		t.Error(got)
	}
	if err := s.Revoke(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	if got := <-told; got != "[] [before]" {
		t.Error(got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
