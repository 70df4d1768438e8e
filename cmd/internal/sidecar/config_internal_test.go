package sidecar

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/testutil"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const configToken = "e5a1c07d93b24f68"

// configured is a sidecar whose config.yaml changes.
type configured struct {
	*testing.T
	*Sidecar
	dir   string
	level atomic.Value
	logs  *observer.ObservedLogs
	hup   chan os.Signal
}

// startConfigured runs a sidecar that only events can tell of a change, with flags and variables (which have a capital).
func startConfigured(t *testing.T, config string, given map[string]string) *configured {
	t.Helper()
	c := &configured{T: t, dir: t.TempDir(), hup: make(chan os.Signal, 1)}
	values := map[string]string{
		"DEFENSECLAW_HOME": c.dir, "DEFENSECLAW_API_PORT": "0", "DEFENSECLAW_GATEWAY_TOKEN": configToken, "DEFENSECLAW_POLICY_DIR": filepath.Join(c.dir, "pol"),
		"DEFENSECLAW_SAFETY_INTERVAL": "1h", "DEFENSECLAW_FULL_CHECK_INTERVAL": "1h", "DEFENSECLAW_ISOLATION": "off", "DEFENSECLAW_LOCAL_SOCKET": "false",
		"OTHER_KEY": "other",
	}
	for name, value := range given {
		values[name] = value
	}
	c.file("pol/p.rego", "package p\n\nx := data.d.x\n")
	c.file("pol/d/data.json", `{"x": 1}`)
	c.file("config.yaml", config)
	snapshot, err := settings.NewReader(func(name string) (string, bool) { v, ok := values[name]; return v, ok }, func(name string) string { return values[name] }).Read()
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	c.logs = logs
	c.Sidecar, err = New(Config{
		Settings: snapshot.Settings, Snapshot: snapshot, LogLevel: func(level string) { c.level.Store(level) }, HUP: c.hup, Logger: zap.New(core),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- c.Sidecar.Run(ctx, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	c.eventually("the watch is in place", func() bool { return c.live.watcher.Health().State == "watching" })
	return c
}

func (c *configured) file(name, text string) {
	c.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
}

func (c *configured) eventually(what string, ok func() bool) {
	c.Helper()
	if !testutil.Eventually(ok) {
		c.Fatalf("it does not come true that %s; the status is %+v", what, c.configStatus())
	}
}

// status is the answer to a request with the token, from an address that is not this machine's.
func (c *configured) status(header ...string) int {
	r := httptest.NewRequestWithContext(c.Context(), http.MethodGet, "http://127.0.0.1/policy/status", http.NoBody)
	r.RemoteAddr = "203.0.113.9:1"
	r.Header.Set("Authorization", "Bearer "+configToken)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.server.ServeHTTP(w, r)
	return w.Code
}

func (c *configured) records() []audit.Record {
	c.Helper()
	found, err := c.audit.Query(c.Context(), audit.Filter{Action: actionConfigUpdate})
	if err != nil {
		c.Fatal(err)
	}
	return found
}

// atOnce has for each setting that applies at once a change of config.yaml, and its effect.
var atOnce = map[string]struct {
	before, after string
	effect        func(c *configured) bool
}{
	"log.level":             {"", "log: {level: error}", func(c *configured) bool { return c.level.Load() == "error" }},
	"gateway.allowed_hosts": {"", "gateway: {allowed_hosts: [console.example]}", func(c *configured) bool { return c.status("Origin", "https://console.example") == 200 }},
	"gateway.rate_limit": {"", "gateway: {rate_limit: 1}", func(c *configured) bool {
		for range 10 {
			if c.status() == http.StatusTooManyRequests {
				return true
			}
		}
		return false
	}},
	"gateway.config_reload.mode": {"", "gateway: {config_reload: {mode: restart}}\nlog: {level: error}", func(c *configured) bool {
		return c.configStatus().State == api.SettingsRestartNeeded && c.level.Load() != "error"
	}},
	"engine.decision_timeout": {"", "engine: {decision_timeout: 123ms}", func(c *configured) bool { return c.engine.Current().Timeout() == 123*time.Millisecond }},
	"engine.removal_wait": {"engine: {removal_wait: 1h}", "engine: {removal_wait: 10ms}", func(c *configured) bool {
		if c.settings().RemovalWait != 10*time.Millisecond {
			return false
		}
		_ = os.Remove(filepath.Join(c.dir, "pol/d/data.json")) // gone already at the second call
		_, files := c.engine.Current().Counts()
		return files == 0
	}},
	"guardrail.hilt.enabled":      {"", "guardrail: {hilt: {enabled: true}}", func(c *configured) bool { return c.hilt().Enabled }},
	"guardrail.hilt.min_severity": {"", "guardrail: {hitl: {min_severity: low}}", func(c *configured) bool { return c.hilt().MinSeverity == "LOW" }},
	"guardrail.mode":              {"", "guardrail: {mode: ' Action'}", func(c *configured) bool { return c.guardrail().Mode == "action" }},
	"guardrail.scanner_mode":      {"", "guardrail: {scanner_mode: local}", func(c *configured) bool { return c.guardrail().ScannerMode == "local" }},
	"guardrail.block_message":     {"", "guardrail: {block_message: No.}", func(c *configured) bool { return c.guardrail().BlockMessage == "No." }},
	"judge.base_url":              {"judge: {model: m}", "judge: {model: m, base_url: 'http://127.0.0.1:1'}", func(c *configured) bool { return c.judge.Load() != nil }},
	"judge.model":                 {judgeOf("model: m"), judgeOf("model: n"), func(c *configured) bool { return c.judge.Load().Model() == "n" }},
	"judge.api_key_env":           newJudge("api_key_env: OTHER_KEY"),
	"judge.fail_mode":             newJudge("fail_mode: open"),
	"judge.kinds":                 newJudge("kinds: [pii]"),
	"judge.timeout":               newJudge("timeout: 7s"),
	"judge.max_retries":           newJudge("max_retries: 7"),
	"judge.max_content_bytes":     newJudge("max_content_bytes: 7777"),
	"judge.max_answer_tokens":     newJudge("max_answer_tokens: 777"),
	"judge.cache_entries":         newJudge("cache_entries: 7"),
}

func judgeOf(more string) string { return "judge: {base_url: 'http://127.0.0.1:1', " + more + "}" }

// newJudge expects that another judge is asked: one is made of all settings of the judge.
func newJudge(more string) struct {
	before, after string
	effect        func(c *configured) bool
} {
	return struct {
		before, after string
		effect        func(c *configured) bool
	}{judgeOf("model: m"), judgeOf("model: m, " + more), func(c *configured) bool {
		return slices.ContainsFunc(c.records(), func(r audit.Record) bool { return strings.HasPrefix(r.Message, "judge.") }) && c.judge.Load() != nil
	}}
}

func TestEachSettingThatAppliesAtOnceDoes(t *testing.T) {
	for _, row := range settings.Table() {
		probe, ok := atOnce[row.Key]
		if ok != (row.Applies == settings.AtOnce) {
			t.Errorf("%s applies %s, and a probe for it is there: %v", row.Key, row.Applies, ok)
		}
		if !ok {
			continue
		}
		t.Run(row.Key, func(t *testing.T) {
			c := startConfigured(t, probe.before, nil)
			old := c.judge.Load()
			if probe.effect(c) {
				t.Fatal("the effect is there before the change")
			}
			c.file("config.yaml", probe.after)
			c.eventually("the change is in force", func() bool { return probe.effect(c) })
			if strings.HasPrefix(row.Key, "judge.") && c.judge.Load() == old {
				t.Error("the judge is the one from before")
			}
		})
	}
}

func TestABrokenConfigChangesNothingAndSaysWhy(t *testing.T) {
	c := startConfigured(t, "log: {level: warn}\n", nil)
	for broken, why := range map[string]string{
		"log:\n  level: error\ngateway:\n  rate_limit: many\n":                           "config.yaml:4:15: gateway.rate_limit is \"many\": a number was expected",
		"log: {level: error}\njudge: {base_url: 'http://h', model: m, fail_mode: maybe}": "config.yaml:2:8: judge: judge.fail_mode is \"maybe\"",
		"log: {level: error\n": "config.yaml: yaml: line ",
	} {
		c.file("config.yaml", broken)
		c.eventually("the file is refused: "+why, func() bool {
			s := c.configStatus()
			return s.State == api.SettingsRefused && strings.Contains(s.Error, why)
		})
		if set := c.settings(); set.LogLevel != "warn" || c.judge.Load() != nil || c.level.Load() == "error" {
			t.Errorf("%q has an effect: %+v", broken, set)
		}
		if m := c.snapshot().Settings; !m.Broken || m.Refused == 0 {
			t.Errorf("the metrics say %+v", m)
		}
		if n := c.logs.FilterMessageSnippet("config.yaml is refused").Len(); n == 0 {
			t.Error("the log says nothing")
		}
		c.eventually("it is on record", func() bool {
			found := c.records()
			return len(found) > 0 && found[0].Outcome == audit.OutcomeFailed && strings.Contains(found[0].Message, why)
		})
	}
	c.file("config.yaml", "log: {level: error}\n")
	c.eventually("the repaired file is in force", func() bool { return c.level.Load() == "error" && c.configStatus().State == api.SettingsCurrent })
	if m := c.snapshot().Settings; m.Broken || m.Applied != 1 {
		t.Errorf("the metrics say %+v", m)
	}
}

func TestWhatNeedsARestartIsNamed(t *testing.T) {
	c := startConfigured(t, "", nil)
	c.file("config.yaml", "watch: {debounce: 33ms}\nauthzen: {policy: a/b}\ngateway: {token: this-is-a-secret}\n")
	c.eventually("the status names the keys", func() bool {
		return slices.Equal(c.configStatus().AfterRestart, []string{"watch.debounce", "authzen.policy"}) // the token is overridden
	})
	if n := c.logs.FilterMessage("config.yaml: watch.debounce changed; takes effect after a restart").Len(); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	if c.snapshot().Settings.Waiting != 2 || c.settings().Debounce != 20*time.Millisecond {
		t.Errorf("%+v", c.snapshot().Settings)
	}
	c.eventually("it is on record", func() bool { return len(c.records()) > 0 })
	found := c.records()
	if len(found) != 1 || !strings.Contains(found[0].Message, `watch.debounce: "20ms" to "33ms" after a restart`) || strings.Contains(found[0].Message+string(found[0].Details), "this-is") {
		t.Errorf("on record: %+v", found)
	}
	c.file("config.yaml", "")
	c.hup <- os.Interrupt // any signal: the sidecar is handed those that ask for a reload
	c.eventually("nothing waits any more", func() bool { return c.configStatus().State == api.SettingsCurrent })
}

// Editors and mounts replace the file in different ways; each is noticed.
func TestAConfigIsReadHoweverItIsReplaced(t *testing.T) {
	c := startConfigured(t, "log: {level: warn}\n", nil)
	config := filepath.Join(c.dir, "config.yaml")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(how, level string) {
		t.Helper()
		c.eventually(how, func() bool { return c.level.Load() == level })
	}
	c.file(".config.yaml.swp", "log: {level: error}\n")
	must(os.Rename(filepath.Join(c.dir, ".config.yaml.swp"), config))
	expect("renamed over", "error")
	must(os.Remove(config))
	c.file("config.yaml", "log: {level: debug}\n")
	expect("removed and written", "debug")
	must(os.Truncate(config, 0))
	c.file("config.yaml", "log: {level: warn}\n")
	expect("truncated and written", "warn")
	if runtime.GOOS == "windows" {
		return // links need a privilege there
	}
	for i, level := range []string{"error", "debug", "warn"} {
		version := filepath.Join(c.dir, "..v"+level)
		c.file("..v"+level+"/config.yaml", "log: {level: "+level+"}\n")
		must(os.Symlink(version, filepath.Join(c.dir, "..new")))
		must(os.Rename(filepath.Join(c.dir, "..new"), filepath.Join(c.dir, "..data")))
		if i == 0 {
			must(os.Remove(config))
			must(os.Symlink(filepath.Join("..data", "config.yaml"), config))
		}
		expect("swapped as a ConfigMap is", level)
	}
}

// The wait is that of the code: a test that shortened it would not see that a missing file is waited for.
func TestAMissingConfigIsWaitedForAndThenMeansTheDefaults(t *testing.T) {
	c := startConfigured(t, "log: {level: warn}\n", nil)
	begin := time.Now()
	if err := os.Remove(filepath.Join(c.dir, "config.yaml")); err != nil {
		t.Fatal(err)
	}
	c.eventually("the default is in force", func() bool { return c.level.Load() == "info" })
	if waited := time.Since(begin); waited < emptyWait {
		t.Errorf("the file counted as gone after %s", waited)
	}
}

func TestAHangupReadsTheConfig(t *testing.T) {
	c := startConfigured(t, "", map[string]string{"DEFENSECLAW_WATCH_MODE": "poll", "DEFENSECLAW_POLL_INTERVAL": "1h"})
	c.file("config.yaml", "log: {level: error}\n")
	c.hup <- os.Interrupt
	c.eventually("the change is in force", func() bool { return c.level.Load() == "error" })
	c.eventually("it is on record", func() bool { found := c.records(); return len(found) == 1 && found[0].Actor == "SIGHUP" })
}
