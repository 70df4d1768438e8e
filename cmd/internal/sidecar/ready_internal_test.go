package sidecar

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/testutil"

	"go.uber.org/zap"
)

// Another connection holds the database's write lock, so the record of the start waits. Decisions do not.
func TestItIsReadyOnceItsStartIsOnRecord(t *testing.T) {
	dir := t.TempDir()
	files := configured{T: t, dir: dir}
	files.file("pol/p.rego", "package p\n\nx := 1\n")
	values := map[string]string{
		"DEFENSECLAW_HOME": dir, "DEFENSECLAW_API_PORT": "0", "DEFENSECLAW_GATEWAY_TOKEN": configToken,
		"DEFENSECLAW_POLICY_DIR": filepath.Join(dir, "pol"), "DEFENSECLAW_ISOLATION": "off", "DEFENSECLAW_LOCAL_SOCKET": "false",
	}
	snapshot, err := settings.NewReader(func(name string) (string, bool) { v, ok := values[name]; return v, ok }, func(name string) string { return values[name] }).Read()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Settings: snapshot.Settings, Snapshot: snapshot, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "sidecar-audit.db")+"?_txlock=immediate&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	ask := func(method, path string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+configToken)
		w := httptest.NewRecorder()
		s.server.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if !testutil.Eventually(func() bool {
		code, body := ask(http.MethodGet, "/health/ready")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "the start is not on record yet")
	}) {
		t.Error("it is ready before its start is on record")
	}
	if code, body := ask(http.MethodGet, "/v1/data/p/x"); code != http.StatusOK || !strings.Contains(body, `"result":1`) {
		t.Errorf("a decision waits for the record: %d %s", code, body)
	}
	select {
	case <-ready:
		t.Error("it is called ready before its start is on record")
	default:
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	<-ready
	if code, body := ask(http.MethodGet, "/health/ready"); code != http.StatusOK {
		t.Errorf("not ready: %d %s", code, body)
	}
	if h := s.audit.Health(); !h.OK {
		t.Errorf("the audit log does not run: %s", h.Error)
	}
}
