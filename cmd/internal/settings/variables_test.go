package settings_test

import (
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
)

func TestVariablesThatNobodyReadsAreRefusedWithTheNearestOne(t *testing.T) {
	home := t.TempDir()
	read := func(t *testing.T, variables map[string]string) (*settings.Snapshot, string) {
		t.Helper()
		t.Setenv("DEFENSECLAW_HOME", home)
		for name, value := range variables {
			t.Setenv(name, value)
		}
		snapshot, err := settings.ForProcess(func(string) (string, bool) { return "", false }).Read()
		if err != nil {
			return snapshot, err.Error()
		}
		return snapshot, ""
	}
	const way = " Name it in DEFENSECLAW_OTHER_VARIABLES if it is another program's"
	for _, c := range []struct {
		name, value, want string
	}{
		{"DEFENSECLAW_POLICY_DRR", "a", "unknown variable DEFENSECLAW_POLICY_DRR; did you mean DEFENSECLAW_POLICY_DIR?" + way},
		{"DEFENSECLAW_API_PROT", "1", "unknown variable DEFENSECLAW_API_PROT; did you mean DEFENSECLAW_API_PORT?" + way},
		{"DEFENSECLAW_FROBNICATE", "1", "unknown variable DEFENSECLAW_FROBNICATE; docs/reference/configuration.md has all that begin so." + way},
		{"DEFENSECLAW_FROBNICATE", "", ""},
		{"DEFENSECLAW_SERVICE_HOST", "10.0.0.7", ""},
		{"DEFENSECLAW_SERVICE_PORT", "8181", ""},
		{"DEFENSECLAW_SERVICE_PORT_HTTP", "8181", ""},
		{"DEFENSECLAW_PORT", "tcp://10.0.0.7:8181", ""},
		{"DEFENSECLAW_PORT_8181_TCP", "tcp://10.0.0.7:8181", ""},
		{"DEFENSECLAW_PORT_8181_TCP_ADDR", "10.0.0.7", ""},
		{"DEFENSECLAW_GATEWAY_SERVICE_PORT_GRPC_WEB", "8181", ""},
		{"DEFENSECLAW_API_PORT", "tcp://[fd00::7]:8181", ""}, // of a service called defenseclaw-api: not the setting
		{"DEFENSECLAW_API_PORT_8181_UDP_PROTO", "udp", ""},
		{"DEFENSECLAW_PORT", "8181", "unknown variable DEFENSECLAW_PORT; docs/reference/configuration.md has all that begin so." + way},
		{"DEFENSECLAW_OTEL_ENDPOINT", "http://a", ""},
		{"DEFENSECLAW_CONFIG", filepath.Join(home, "config.yaml"), ""},
		{"DEFENSECLAW_CONFIG", "/etc/else.yaml", `DEFENSECLAW_CONFIG is "/etc/else.yaml": the settings are read from ` + home + "/config.yaml; set DEFENSECLAW_HOME to the directory of config.yaml"},
		{"DEFENSECLAW_DATA_DIR", home, ""},
		{"DEFENSECLAW_DATA_DIR", "/else", "unknown variable DEFENSECLAW_DATA_DIR; did you mean DEFENSECLAW_HOME? The data directory is " + home},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			if _, got := read(t, map[string]string{c.name: c.value}); got != c.want {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
		})
	}
	t.Run("named", func(t *testing.T) {
		got, text := read(t, map[string]string{
			"DEFENSECLAW_PORTAL_URL": "a", "DEFENSECLAW_MINE": "b", "DEFENSECLAW_OTHER_VARIABLES": "DEFENSECLAW_PORTAL_*, DEFENSECLAW_MINE",
		})
		if text != "" || len(got.Foreign()) != 2 || !strings.Contains(got.Foreign()[0].Whose, "DEFENSECLAW_OTHER_VARIABLES") {
			t.Errorf("%s %+v", text, got.Foreign())
		}
	})
}
