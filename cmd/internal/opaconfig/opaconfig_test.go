package opaconfig_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/opaconfig"
)

const whole = `
services:
  acme:
    url: https://example.com/control/v1/
    credentials:
      bearer: {token: "${TOKEN}"}
  other:
    url: https://other.example.com
labels: {app: myapp, region: "${UNSET}"}
keys:
  global_key:
    algorithm: HS256
    key: ${SECRET}
    scope: read
bundles:
  authz:
    service: acme
    resource: bundles/http/example/authz.tar.gz
    persist: true
    polling: {min_delay_seconds: 60, max_delay_seconds: 120, long_polling_timeout_seconds: 30}
    signing: {keyid: global_key, scope: write, exclude_files: ["*.txt"]}
    size_limit_bytes: 1024
  data:
    service: other
  local:
    resource: file:///tmp/bundle.tar.gz
status: {service: acme, trigger: periodic}
decision_logs:
  service: acme
  partition_name: north
  mask_decision: /system/log/masked
  nd_builtin_cache: false
  reporting: {min_delay_seconds: 3, max_delay_seconds: 5, upload_size_limit_bytes: 4096, buffer_size_limit_bytes: 65536, buffer_type: size}
default_decision: /http/example/authz/allow
persistence_directory: /var/opa
distributed_tracing: null
`

func lookUp(name string) (string, bool) {
	value, ok := map[string]string{"TOKEN": "sesame", "SECRET": "open", "EMPTY": ""}[name]
	return value, ok
}

func parse(t *testing.T, text string) *opaconfig.Config {
	t.Helper()
	c, err := opaconfig.Parse([]byte(text), lookUp)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAFileIsReadAsOPAReadsIt(t *testing.T) {
	c := parse(t, whole)
	a, d := c.Bundles["authz"], c.Bundles["data"]
	shortest, longest := a.Polling.Delays()
	if a.Service != "acme" || a.Signing.KeyID != "global_key" || shortest != time.Minute || longest != 2*time.Minute || a.Polling.LongPoll() != 30*time.Second {
		t.Errorf("%+v", a)
	}
	if d.Resource != "bundles/data" || d.Polling.LongPoll() > 0 || c.Bundles["local"].Service != "" {
		t.Errorf("%+v", c.Bundles)
	}
	if c.Labels["region"] != "${UNSET}" || c.Keys["global_key"].Key != "open" || c.URL("acme") != "https://example.com/control/v1" {
		t.Errorf("%+v", c)
	}
	if !strings.Contains(string(c.Services["acme"]), "sesame") || c.DecisionLogs.Resource != "/logs/north" || c.Status.StatusResource() != "/status" {
		t.Errorf("%+v %s", c.DecisionLogs, c.Services["acme"])
	}
	want := map[string]string{
		"decision_logs.console": "false", "decision_logs.mask_decision": "system/log/masked", "decision_logs.min_delay": "3s", "decision_logs.max_delay": "5s",
		"decision_logs.upload_size_limit_bytes": "4096", "decision_logs.buffer_size_limit_bytes": "65536",
	}
	got := c.Values()
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q", key, got[key])
		}
	}
	text, err := json.Marshal(c.Active())
	if err != nil || strings.Contains(string(text), "sesame") || strings.Contains(string(text), `"open"`) || !strings.Contains(string(text), `"HS256"`) {
		t.Errorf("%s %v", text, err)
	}
	if again := parse(t, whole); !strings.Contains(string(again.Services["acme"]), "sesame") {
		t.Error("showing it changed it")
	}
}

func TestServicesMayBeAListAndTheOnlyOneIsMeant(t *testing.T) {
	c := parse(t, `{"services": [{"name": "acme", "url": "http://127.0.0.1"}], "bundles": {"b": {}}, "decision_logs": {}, "status": {}}`)
	if c.Bundles["b"].Service != "acme" || c.DecisionLogs.Service != "acme" || c.Status.Service != "acme" {
		t.Errorf("%+v", c)
	}
	if c := parse(t, `{"services": {"acme": {"url": "http://127.0.0.1"}}, "decision_logs": {"console": true}}`); c.DecisionLogs.Service != "" {
		t.Errorf("%+v", c.DecisionLogs)
	}
}

// TestEachKeyThatIsNotTakenIsNamed has one sentence for each, and all of them at once.
func TestEachKeyThatIsNotTakenIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"discovery: {name: d}":                               "discovery is not taken: a configuration that a bundle brings",
		"plugins: {x: {}}":                                   "plugins is not taken: plugins are compiled into OPA",
		"bundle: {name: b}":                                  "bundle is not taken: this is the old form",
		"servces: {}":                                        "servces is not taken: OPA's configuration has no such key",
		"storage: {disk: {}}":                                "storage is not taken: data is kept in memory",
		"services: {s: {url: u, type: git}}":                 "services.s.type is git: a registry (oci) was expected, or no type",
		"services: [{name: s, url: u, tpye: x}]":             "services[0].tpye is not taken",
		"services: [{url: u}]":                               "the 1. of the list has no name",
		"services: {s: {credentials: {plugin: p}}}":          "services.s.credentials.plugin is not taken",
		"services: 1":                                        "services is 1: a map was expected",
		"services: {s: {}}\nbundles: {b: {trigger: manual}}": "bundles.b.trigger is manual: ",
		"services: {s: {}}\nbundles: {b: {polling: {min_delay_secs: 1}}}":                          "bundles.b.polling.min_delay_secs is not taken",
		"services: {s: {}}\nbundles: {b: {polling: {min_delay_seconds: 1}}}":                       "min_delay_seconds and max_delay_seconds belong together",
		"services: {s: {}}\nbundles: {b: {polling: {min_delay_seconds: 2, max_delay_seconds: 1}}}": "bundles.b.polling: max_delay_seconds is below",
		"services: {s: {}}\nbundles: {b: {polling: {long_polling_timeout_seconds: 0}}}":            "at least 1 was expected",
		"services: {s: {}, t: {}}\nbundles: {b: {}}":                                               "bundles.b.service: none is named, and there are 2 services",
		"bundles: {b: {service: x}}":                                                               `bundles.b.service: there is no service "x"`,
		"bundles: [1]":                                                                             "bundles[0] is 1: a map was expected",
		"services: {s: {}}\nbundles: {b: {signing: {scope: x}}}":                                   "bundles.b.signing asks for a signature, and no keys are set",
		"services: {s: {}}\nkeys: {k: {key: x}}\nbundles: {b: {signing: {keyid: y}}}":              `bundles.b.signing.keyid is "y"`,
		"keys: {k: {algorithm: RS256}}":                                                            "keys.k has neither key nor private_key",
		"decision_logs: {service: x}":                                                              `decision_logs.service: there is no service "x"`,
		"decision_logs: {request_context: {http: {headers: [a]}}}":                                 "decision_logs.request_context is not taken",
		"decision_logs: {nd_builtin_cache: true}":                                                  "decision_logs.nd_builtin_cache is true",
		"decision_logs: {reporting: {buffer_type: event}}":                                         "decision_logs.reporting.buffer_type is event",
		"decision_logs: {reporting: {max_delay_seconds: 1}}":                                       "decision_logs.reporting: min_delay_seconds",
		"status: {service: x}":                                                                     "status.service",
		"default_decision: /":                                                                      "default_decision",
		"labels: {a: [1]}":                                                                         "labels: ",
		"default_authorization_decision: /x":                                                       "default_authorization_decision is /x",
		"a: b: c":                                                                                  "yaml",
	} {
		if _, err := opaconfig.Parse([]byte(text), lookUp); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; %q was expected", text, err, want)
		}
	}
	_, err := opaconfig.Parse([]byte("discovery: {}\nplugins: {}\nserver: {}"), lookUp)
	if err == nil || strings.Count(err.Error(), " is not taken: ") != 3 {
		t.Error(err)
	}
}

func TestOnlyARegularFileIsRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "opa.yaml")
	if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := opaconfig.Read(file, lookUp); err != nil || c.File != file {
		t.Error(c, err)
	}
	for _, wrong := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := opaconfig.Read(wrong, lookUp); err == nil {
			t.Error(wrong)
		}
	}
}

// FuzzParse holds that what is taken can be shown, and shows no secret.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("services: [{name: a}]\nkeys: {k: {key: sesame}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := opaconfig.Parse(text, lookUp)
		if err != nil {
			return
		}
		c.Values()
		services, _ := c.Active()["services"].(map[string]any)
		for _, s := range services {
			if m, _ := s.(map[string]any); m["credentials"] != nil {
				t.Error("credentials are shown")
			}
		}
		for name, b := range c.Bundles {
			if b.Service == "" && !strings.HasPrefix(b.Resource, opaconfig.FileScheme) || b.Service != "" && !slices.Contains(slices.Collect(names(c)), b.Service) {
				t.Errorf("%s: %+v", name, b)
			}
		}
	})
}

func names(c *opaconfig.Config) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range c.Services {
			if !yield(name) {
				return
			}
		}
	}
}
