package sidecar

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/api/gate"
)

// guardrailRequest asks /v1/guardrail/config with the token, with GET unless there is a body.
func (c *configured) guardrailRequest(body string) (status int, answer string) {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPatch
	}
	r := httptest.NewRequestWithContext(c.Context(), method, "http://127.0.0.1/v1/guardrail/config", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+configToken)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(gate.HeaderClient, "test")
	w := httptest.NewRecorder()
	c.server.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func (c *configured) configText() string {
	c.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "config.yaml"))
	if err != nil {
		c.Fatal(err)
	}
	return string(text)
}

func TestAChangeOfTheGuardrailIsInForceWhenItIsAnswered(t *testing.T) {
	c := startConfigured(t, "# mine\nguardrail:\n  hilt: {min_severity: low} # asks\n", nil)
	const before = `{"mode":"observe","scanner_mode":"both","block_message":"","connector":"","hilt_enabled":false,"hilt_min_severity":"LOW"}`
	if status, answer := c.guardrailRequest(""); status != 200 || answer != before {
		t.Errorf("%d %s", status, answer)
	}
	const after = `{"mode":"action","scanner_mode":"local","block_message":"No: \"x\"","connector":"","hilt_enabled":true,"hilt_min_severity":"MEDIUM"`
	status, answer := c.guardrailRequest(`{"mode":"action","scanner_mode":"local","block_message":"No: \"x\"","hilt_enabled":true,"hilt_min_severity":"medium"}`)
	if want := after + `,"status":"updated","live":true,"changed":["mode=action","scanner_mode=local","block_message","hilt_enabled=true","hilt_min_severity=MEDIUM"]}`; status != 200 || answer != want {
		t.Errorf("%d %s; want %s", status, answer, want)
	}
	if h := c.hilt(); !h.Enabled || h.MinSeverity != "MEDIUM" {
		t.Errorf("decisions are made by %+v", h)
	}
	if status, answer := c.guardrailRequest(""); status != 200 || answer != after+"}" {
		t.Errorf("%d %s", status, answer)
	}
	if text := c.configText(); !strings.HasPrefix(text, "# mine\nguardrail:\n") || !strings.Contains(text, "# asks") {
		t.Errorf("config.yaml is %s", text)
	}
	found := c.records()
	if len(found) != 1 || found[0].Actor != gate.DefaultName || !strings.Contains(found[0].Message, `guardrail.mode: "observe" to "action"`) || !strings.Contains(string(found[0].Details), `"trigger":"api"`) {
		t.Errorf("on record: %+v", found)
	}
}

func TestAChangeOfTheGuardrailThatCannotBeTrueIsRefused(t *testing.T) {
	c := startConfigured(t, "guardrail: {mode: observe}\n", nil)
	expect := func(body string, want int, says string) {
		t.Helper()
		before := c.configText()
		status, answer := c.guardrailRequest(body)
		if status != want || !strings.Contains(answer, says) || !json.Valid([]byte(answer)) {
			t.Errorf("%s: %d %s; want %d %s", body, status, answer, want, says)
		}
		if c.configText() != before || c.guardrail().Mode != "observe" {
			t.Errorf("%s has an effect", body)
		}
	}
	expect(`{"mode":"action","mod":"x"}`, 400, `there is no field \"mod\"`)
	expect(`{"mode":"act"}`, 400, `mode is \"act\": \"observe\" or \"action\" was expected`)
	expect(`{"mode":null}`, 400, `mode is null`)
	expect(`{"block_message":"`+strings.Repeat("x", 5000)+`"}`, 400, `at most 4096 bytes`)
	expect(`{}`, 400, `at least one of`)
	expect(`{"mode":"action","connector":"Claw"}`, 409, `"restart_required":["guardrail.connector"],"changed":["mode=action","connector=claw"]`)
	c.file("config.yaml", "guardrail:\n  mode: observe\n  hilt: {enabled: perhaps}\n")
	expect(`{"mode":"action"}`, 409, `config.yaml:3:19: guardrail.hilt.enabled is \"perhaps\"`)
	c.file("config.yaml", "guardrail: [\n")
	expect(`{"mode":"action"}`, 409, `line `)
	c.file("config.yaml", "guardrail: {mode: observe}\n---\n{}\n")
	expect(`{"mode":"action"}`, 409, `a second document`)
}

// Another's edit is taken before the caller's, and is not recorded as the caller's.
func TestAChangeOfTheGuardrailKeepsAnEditThatIsNotTakenYet(t *testing.T) {
	c := startConfigured(t, "", map[string]string{"DEFENSECLAW_WATCH_MODE": "poll", "DEFENSECLAW_POLL_INTERVAL": "1h"})
	c.file("config.yaml", "log: {level: error}\n")
	if status, answer := c.guardrailRequest(`{"mode":"action"}`); status != 200 || c.level.Load() != "error" || c.configText() != "log: {level: error}\nguardrail:\n  mode: \"action\"\n" {
		t.Errorf("%d %s: %s", status, answer, c.configText())
	}
	found := c.records()
	if len(found) != 2 || found[0].Actor != gate.DefaultName || strings.Contains(found[0].Message, "log.level") || found[1].Actor != named(os.Getuid()) {
		t.Errorf("on record: %+v", found)
	}
}

func TestAChangeOfTheGuardrailWaitsWhereTheSettingsSaySo(t *testing.T) {
	c := startConfigured(t, "gateway: {config_reload: {mode: restart}}\n", nil)
	const want = `{"mode":"action","scanner_mode":"both","block_message":"","connector":"claw","hilt_enabled":false,"hilt_min_severity":"HIGH","status":"restart_requested","live":false,"changed":["mode=action","connector=claw"]}`
	if status, answer := c.guardrailRequest(`{"mode":"action","connector":"claw"}`); status != 202 || answer != want {
		t.Errorf("%d %s; want %s", status, answer, want)
	}
	if _, answer := c.guardrailRequest(""); !strings.Contains(answer, `"mode":"observe"`) || !strings.Contains(c.configText(), `mode: "action"`) {
		t.Errorf("%s: %s", answer, c.configText())
	}
}
