package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/control"
	"defenseclaw/engine/history"
)

// governed gives a server a governor whose history has what served.
func governed(t testing.TB, c *api.Config, e *engine.Config) (*history.Store, *control.Config) {
	t.Helper()
	return governedBy(t, c, e, false)
}

// governedBy is the same; with hold, every change waits for an approval.
func governedBy(t testing.TB, c *api.Config, e *engine.Config, hold bool) (*history.Store, *control.Config) {
	t.Helper()
	dir := t.TempDir()
	store, err := history.New(history.Config{Dir: filepath.Join(dir, "history")})
	if err != nil {
		t.Fatal(err)
	}
	cfg := control.Config{Path: filepath.Join(dir, "control", "pol.json"), History: store, Hold: hold, Strict: hold}
	g, err := control.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.Control, e.Govern = g, g.Govern
	e.Announcements = append(e.Announcements, engine.Announcement{Name: "history", Run: func(ctx context.Context, r engine.Report) error {
		if r.Result != engine.Success {
			return nil
		}
		_, err := store.SaveServed(ctx, history.Served{Generation: r.Generation, Previous: r.Previous})
		return err
	}})
	return store, &cfg
}

// TestOrdersSayWhatTheyDid is the contract of the routes of control.
func TestOrdersSayWhatTheyDid(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(c *api.Config, e *engine.Config) { governed(t, c, e) })
	type answer struct {
		Status, Error string
		Seq           uint64
		Control       api.Control
		Result        int
	}
	ask := func(method, path, body string, want int) (a answer) {
		t.Helper()
		status, text, _ := s.request(method, path, body, clientHeader)
		if err := json.Unmarshal([]byte(text), &a); err != nil || status != want {
			t.Fatalf("%s %s %s: %d %s; %d was expected", method, path, body, status, text, want)
		}
		return a
	}
	save := func(n string) {
		s.files = policy(map[string]string{"p.rego": "package p\nx := " + n})
	}
	serves := func(n int) {
		t.Helper()
		if got := ask("POST", "/v1/data/p/x", "{}", http.StatusOK).Result; got != n {
			t.Fatalf("%d serves; %d was expected", got, n)
		}
	}
	save("2")
	ask("POST", "/policy/reload", "", http.StatusOK)
	a := ask("POST", "/policy/rollback", `{"to":"1","reason":"two is wrong"}`, http.StatusOK)
	if a.Status != "rolled-back" || a.Seq != 1 || a.Control.Mode != "pinned" || a.Control.Reason != "two is wrong" || len(a.Control.Refused) != 1 {
		t.Errorf("rollback: %+v", a)
	}
	serves(1)
	a = ask("POST", "/policy/reload", "", http.StatusConflict)
	if a.Status != "held" || !strings.Contains(a.Error, "pinned since") || a.Control.Mode != "pinned" || a.Control.Disk.State != "differs" {
		t.Errorf("a reload while something is pinned: %+v", a)
	}
	serves(1)
	save(":=")
	if a = ask("POST", "/policy/reload", "", http.StatusInternalServerError); a.Status != "failed" || a.Control.Mode != "pinned" {
		t.Errorf("a reload of broken files while something is pinned: %+v", a)
	}
	if c := ask("GET", "/policy/status", "", http.StatusOK).Control; c.Disk.State != "broken" || c.Disk.Error == "" {
		t.Errorf("status of broken files: %+v", c)
	}
	save("1")
	if a = ask("POST", "/policy/reload", "", http.StatusOK); a.Status != "reloaded" || a.Control.Mode != "" {
		t.Errorf("the files hold what is pinned: %+v", a)
	}
	ask("POST", "/policy/confirm", "", http.StatusConflict)
	ask("POST", "/policy/rollback", `{"to":"99"}`, http.StatusNotFound)
	save("3")
	if a = ask("POST", "/policy/reload?confirm=1h", "", http.StatusOK); a.Control.Mode != "confirming" || a.Control.Deadline == nil {
		t.Errorf("a reload that has to be confirmed: %+v", a)
	}
	deadline := *a.Control.Deadline
	save("4")
	if a = ask("POST", "/policy/reload?confirm=2h", "", http.StatusOK); !a.Control.Deadline.Equal(deadline) {
		t.Errorf("the deadline moved from %s to %s", deadline, a.Control.Deadline)
	}
	ask("POST", "/policy/confirm", `{"revision":"sha256:0123456789"}`, http.StatusConflict)
	if a = ask("POST", "/policy/rollback", "", http.StatusOK); a.Control.Mode != "pinned" {
		t.Errorf("a rollback while something waits to be confirmed: %+v", a)
	}
	serves(1) // the last that was confirmed, not the one before
	if a = ask("POST", "/policy/resume", `{}`, http.StatusOK); a.Status != "reloaded" || a.Control.Mode != "" {
		t.Errorf("resume: %+v", a)
	}
	serves(4)
}

// TestAnOrderThatIsNotOnDiskSaysSo: it is carried out all the same.
func TestAnOrderThatIsNotOnDiskSaysSo(t *testing.T) {
	var cfg *control.Config
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(c *api.Config, e *engine.Config) { _, cfg = governed(t, c, e) })
	if err := os.WriteFile(filepath.Dir(cfg.Path), []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, text, _ := s.request("POST", "/policy/hold", "", clientHeader)
	if status != http.StatusInternalServerError || !strings.Contains(text, "a restart would not know of it") || !strings.Contains(text, `"mode":"pinned"`) {
		t.Errorf("%d %s", status, text)
	}
}

// answersToOrders are those of the routes of control that full does not give.
func answersToOrders(t *testing.T, o *openAPI) {
	var store *history.Store
	var cfg *control.Config
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(c *api.Config, e *engine.Config) { store, cfg = governed(t, c, e) })
	post := func(path, body string, status int) {
		t.Helper()
		o.ask(s, question{"POST", path, body, []string{clientHeader}}, status)
	}
	other, err := engine.Load(t.Context(), policy(map[string]string{"p.rego": "package p\nx := 7"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := store.Save(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(entry.Path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	post("/policy/rollback", `{"to":"2"}`, http.StatusUnprocessableEntity)
	post("/policy/rollback", `{"to":"99"}`, http.StatusNotFound)
	s.files = policy(map[string]string{"p.rego": "package p\nx := 2"})
	post("/policy/reload?confirm=1h", "", http.StatusOK)
	o.ask(s, question{"GET", "/policy/status", "", nil}, http.StatusOK)
	post("/policy/confirm", "", http.StatusOK)
	post("/policy/hold", "", http.StatusOK)
	s.files = policy(map[string]string{"p.rego": "package p\nx := 3"})
	post("/policy/reload", "", http.StatusConflict)
	post("/policy/rollback", `{"to":"1","confirm":"1h"}`, http.StatusOK)
	o.ask(s, question{"GET", "/policy/status", "", nil}, http.StatusOK)
	s.files = policy(map[string]string{"p.rego": "package p\nx :="})
	post("/policy/resume", "", http.StatusInternalServerError)
	if err := os.RemoveAll(filepath.Dir(cfg.Path)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(cfg.Path), []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	post("/policy/confirm", "", http.StatusInternalServerError)
	post("/policy/hold", "", http.StatusInternalServerError)
	post("/policy/rollback", "", http.StatusInternalServerError)

	s = start(t, map[string]string{"p.rego": "package p\nx :="}, func(c *api.Config, e *engine.Config) { governed(t, c, e) })
	post("/policy/hold", "", http.StatusConflict)

	s = start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(c *api.Config, e *engine.Config) { _, cfg = governedBy(t, c, e, true) })
	held := func(content string) string {
		s.files = policy(map[string]string{"p.rego": content})
		post("/policy/reload", "", http.StatusConflict)
		o.ask(s, question{"GET", "/policy/status", "", nil}, http.StatusOK)
		var answer api.StatusAnswer
		_, text, _ := s.request("GET", "/policy/status", "")
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatal(err)
		}
		return `{"digest":"` + answer.Control.Digest + `"}`
	}
	older := held("package p\nx := 2")
	digest := held("package p\nx := 3")
	post("/policy/approve", older, http.StatusConflict)
	post("/policy/reject", older, http.StatusConflict)
	post("/policy/approve", digest, http.StatusOK)
	post("/policy/reject", held("package p\nx := 4"), http.StatusOK)
	digest = held("package p\nx := 5")
	if err := errors.Join(os.RemoveAll(filepath.Dir(cfg.Path)), os.WriteFile(filepath.Dir(cfg.Path), []byte("in the way"), 0o600)); err != nil {
		t.Fatal(err)
	}
	post("/policy/reject", digest, http.StatusInternalServerError)
	post("/policy/approve", held("package p\nx := 6"), http.StatusInternalServerError)
}
