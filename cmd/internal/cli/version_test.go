package cli

import (
	"runtime/debug"
	"testing"

	opa "github.com/open-policy-agent/opa/v1/version"
)

func TestVersionOfABuild(t *testing.T) {
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "false"}}
	changed := append([]debug.BuildSetting{}, vcs...)
	changed[2].Value = "true"
	for name, c := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"release": {
			debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v0.2.0"}, Settings: vcs},
			"v0.2.0, commit 0123abc of 2026-01-02T03:04:05Z, go1.26.8, OPA " + opa.Version,
		},
		"with changes": {
			debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v0.2.0+dirty"}, Settings: changed},
			"v0.2.0+dirty, commit 0123abc with changes of 2026-01-02T03:04:05Z, go1.26.8, OPA " + opa.Version,
		},
		"nothing recorded": {debug.BuildInfo{}, "(devel), commit unknown of unknown, unknown, OPA " + opa.Version},
	} {
		if got := buildOf(&c.info).String(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
