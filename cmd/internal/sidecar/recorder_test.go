package sidecar_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/api/recorder"
	"defenseclaw/cmd/internal/sidecar"

	"go.uber.org/zap/zaptest/observer"
)

// secretMark is in every input of [TestAMarkedSecretIsNowhere], and must be nowhere else.
const secretMark = "s3cret-mark-0815"

// ask sends a request with the token, and returns its answer.
func ask(t *testing.T, s *sidecar.Sidecar, method, path, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-DefenseClaw-Client", "test")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= http.StatusInternalServerError {
		t.Fatalf("%s %s: %s %s, %v", method, path, answer.Status, text, err)
	}
	return string(text)
}

// markedFiles are the files below a directory that hold the mark, unpacked where they are compressed.
func markedFiles(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if r, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
			if plain, err := io.ReadAll(r); err == nil {
				text = append(text, plain...)
			}
		}
		if bytes.Contains(text, []byte(secretMark)) {
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestAMarkedSecretIsNowhere sends a secret under names of secrets, under a name that a mask policy names, and in decisions that
// a policy keeps from being recorded, over every protocol, in every mode, with every record on disk; and edits the policy meanwhile.
func TestAMarkedSecretIsNowhere(t *testing.T) {
	for _, mode := range []string{"off", "report", "enforce", "hold"} {
		t.Run(mode, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "home")
			var logged *observer.ObservedLogs
			t.Run("serving", func(t *testing.T) { logged = serveMarked(t, data, mode) }) // the end of which ends the sidecar
			for _, entry := range logged.All() {
				if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, secretMark) {
					t.Errorf("logged: %s", text)
				}
			}
			if _, err := os.Stat(filepath.Join(data, "recorded", recorder.FileName)); err != nil {
				t.Error(err)
			}
			if found := markedFiles(t, data); len(found) > 0 {
				t.Errorf("these files of the data directory hold the secret: %v", found)
			}
		})
	}
}

// serveMarked runs a sidecar until its test ends, asks it with the mark in every input, and looks for it in what it tells.
func serveMarked(t *testing.T, data, mode string) *observer.ObservedLogs {
	t.Helper()
	pol := t.TempDir()
	for name, text := range map[string]string{
		"app.rego": "package app\n\ndefault allow := false\n\nallow if count(input) > 1\n\nsame := input\n\nquiet := input.user",
		"log.rego": "package system.log\n\nmask contains \"/input/card\"\n\nmask contains \"/result/card\"\n\nmask contains \"/result/same/card\"",
		"rec.rego": "package system.record\n\ndrop if input.path == \"app/quiet\"",
		"az.rego":  "package authzen\n\nallow := true",
	} {
		replace(t, filepath.Join(pol, name), []byte(text))
	}
	_, s, logged, _ := startWith(t, map[string]string{
		"DEFENSECLAW_HOME": data, "DEFENSECLAW_POLICY_DIR": pol, "DEFENSECLAW_RECORD": filepath.Join(data, "recorded"),
		"DEFENSECLAW_DECISION_LOG_FILE": filepath.Join(data, "decisions.jsonl"), "DEFENSECLAW_SAFETY_MODE": mode,
	})
	for _, input := range []string{
		`{"user":"a","password":"` + secretMark + `"}`, `{"card":"` + secretMark + `","user":"b"}`, `{"headers":{"Authorization":"Bearer ` + secretMark + `"},"n":1}`,
	} {
		for _, path := range []string{"app/allow", "app/same", "app/quiet", "app"} {
			ask(t, s, "POST", "/v1/data/"+path, `{"input":`+input+`}`)
			ask(t, s, "POST", "/v0/data/"+path, input)
		}
		ask(t, s, "POST", "/v1/batch/data/app/allow", `{"inputs":{"1":`+input+`},"common_input":{"api_key":"`+secretMark+`"}}`)
		ask(t, s, "POST", "/access/v1/evaluation",
			`{"subject":{"type":"user","id":"u","properties":{"token":"`+secretMark+`"}},"action":{"name":"read"},"resource":{"type":"doc","id":"1"}}`)
	}
	wait(t, "decisions are recorded", func() bool {
		return strings.Count(ask(t, s, "GET", "/policy/recordings/events", ""), "\n") >= 12
	})
	replace(t, filepath.Join(pol, "app.rego"), []byte("package app\n\ndefault allow := false\n\nallow if count(input) > 2\n\nsame := input\n\nquiet := input.user"))
	ask(t, s, "POST", "/policy/reload", "")
	told := []string{
		"/policy/recordings", "/policy/recordings/events", "/policy/status", "/metrics", "/audit/records", "/policy/history", "/policy/diff?text=true",
	}
	if mode != "off" {
		told = append(told, "/policy/review")
	}
	for _, path := range told {
		if text := ask(t, s, "GET", path, ""); strings.Contains(text, secretMark) {
			t.Errorf("%s: %s", path, text)
		}
	}
	// What a further edit would do: records are made again, and searches begin with them.
	replace(t, filepath.Join(pol, "app.rego"), []byte("package app\n\ndefault allow := false\n\nallow if count(input) > 0\n\nsame := {\"of\": input}\n\nquiet := input.user"))
	for _, r := range []struct{ method, path string }{
		{"GET", "/policy/diff?with=replay,probe"}, {"POST", "/policy/replay"}, {"POST", "/policy/reload?dry_run=true"},
	} {
		if text := ask(t, s, r.method, r.path, ""); strings.Contains(text, secretMark) {
			t.Errorf("%s %s: %s", r.method, r.path, text)
		}
	}
	return logged
}
