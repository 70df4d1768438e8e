package sidecar_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"

	"go.uber.org/zap"
)

// TestTheLastDecisionsAreUploadedAtTheEnd has a service that is asked rarely, so that only
// the end of the sidecar makes the events come.
func TestTheLastDecisionsAreUploadedAtTheEnd(t *testing.T) {
	type event struct {
		Path   string `json:"path"`
		Result any    `json:"result"`
	}
	uploads := make(chan []event, 10)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var events []event
		body, err := gzip.NewReader(r.Body)
		if err == nil {
			err = json.NewDecoder(body).Decode(&events)
		}
		if got := r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization"); err != nil || got != "POST /logs/here Bearer for-the-log" {
			t.Errorf("%s: %v", got, err)
		}
		uploads <- events
	}))
	defer service.Close()

	top := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("pol/p.rego", "package p\nx := input.n")
	write("state/config.yaml", "decision_logs: {url: '"+service.URL+"', partition: here, min_delay: 1h, max_delay: 1h, token_env: LOG_TOKEN}")
	environment := map[string]string{
		"DEFENSECLAW_POLICY_DIR": filepath.Join(top, "pol"), "DEFENSECLAW_HOME": filepath.Join(top, "state"),
		"DEFENSECLAW_API_PORT": "0", "DEFENSECLAW_GATEWAY_TOKEN": token, "LOG_TOKEN": "for-the-log",
	}
	getenv := func(name string) string { return environment[name] }
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, getenv)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	const decisions = 5
	for n := range decisions {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/v1/data/p/x", strings.NewReader(fmt.Sprintf(`{"input":{"n":%d}}`, n)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status, err)
		}
		answer.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	events := <-uploads
	for n, e := range events {
		if e.Path != "p/x" || e.Result != float64(n) {
			t.Errorf("event %d is %+v", n, e)
		}
	}
	if len(events) != decisions {
		t.Errorf("%d events", len(events))
	}
}
