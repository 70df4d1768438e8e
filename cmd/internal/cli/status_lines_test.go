package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
)

// statuses are how a sidecar can be, from well to as bad as can be.
func statuses() map[string]api.StatusAnswer {
	loaded := time.Now().Add(-time.Hour)
	well := func() api.StatusAnswer {
		return api.StatusAnswer{
			PolicyDir: "pol", RegoDir: "pol", State: "current", StateSince: loaded, Generation: 7, Revision: "sha256:abc", LoadedAt: &loaded,
			Modules: 1, DataFiles: 2, Watch: api.Watch{Enabled: true, Mode: "notify", State: "watching", Directories: 1},
			LastReload: api.LastReload{Status: "success", Trigger: "watch", StartedAt: &loaded, Changed: []string{"a.rego"}},
			PolicyWhy:  "it is named", Audit: &audit.Health{OK: true},
		}
	}
	states := map[string]api.StatusAnswer{"well": well(), "nothing": {State: "empty"}, "embedded": {State: "embedded", LoadedAt: &loaded}}
	with := func(name string, change func(s *api.StatusAnswer)) {
		s := well()
		change(&s)
		states[name] = s
	}
	broken := func(problems int) func(s *api.StatusAnswer) {
		return func(s *api.StatusAnswer) {
			s.State, s.LastReload.Status, s.LastReload.Error = "stale", "failed", "it does not load"
			for i := range problems {
				s.LastReload.Diagnostics = append(s.LastReload.Diagnostics, api.Diagnostic{
					File: "p.rego", Line: i + 1, Column: 2, Code: "rego_parse_error", Message: fmt.Sprintf("mistake %d", i+1), Text: "x :=", Hint: "look",
				})
			}
		}
	}
	for _, n := range []int{0, 1, 2, 30} {
		with(fmt.Sprintf("broken, %d problems", n), broken(n))
	}
	with("held", func(s *api.StatusAnswer) { s.Control = &api.Control{Mode: "held", Digest: "sha256:d", Actor: "ann"} })
	with("pinned", func(s *api.StatusAnswer) { s.Control = &api.Control{Mode: "pinned", Revision: "sha256:abc"} })
	with("many files are not loaded", func(s *api.StatusAnswer) {
		for i := range 40 {
			s.NotLoaded = append(s.NotLoaded, api.NotLoaded{File: fmt.Sprintf("copy%d.rego", i), Reason: "a copy"})
		}
	})
	with("a bundle is refused", func(s *api.StatusAnswer) {
		s.Source = &api.Source{URL: "https://h/b", Bundles: map[string]api.SourceBundle{}}
		for i := range 12 {
			s.Source.Bundles[fmt.Sprintf("b%d", i)] = api.SourceBundle{Refused: "a signature is missing", Error: "timeout"}
		}
	})
	with("everything", func(s *api.StatusAnswer) {
		broken(30)(s)
		s.Control = &api.Control{Mode: "pinned", Revision: "sha256:abc"}
		s.Audit = &audit.Health{Error: "disk full"}
		s.Settings = &api.SettingsStatus{State: api.SettingsRefused, Error: "a typing mistake", AfterRestart: []string{"a", "b", "c"}}
		s.LastGood = &api.LastGood{Error: "disk full"}
		s.Parts = api.Parts{Certificate: &api.CertificateStatus{File: "c.pem", NotAfter: loaded}, ExtAuthz: &api.ExtAuthzStatus{Address: "a", Reason: "taken"}}
		s.Warnings = []string{"one", "two", "three"}
		s.Recordings = &api.Recordings{Error: "disk full"}
		s.Signature = &api.Signature{By: "k"}
		for i := range 15 {
			s.Findings = append(s.Findings, api.Finding{Message: fmt.Sprintf("finding %d", i)})
		}
	})
	return states
}

func TestAStatusHasTenLinesAndTheWorstFirst(t *testing.T) {
	for name, s := range statuses() {
		var short, whole strings.Builder
		printStatus(&short, s, false)
		printStatus(&whole, s, true)
		lines := strings.Split(strings.TrimSuffix(short.String(), "\n"), "\n")
		if len(lines) > maxStatusLines {
			t.Errorf("%s: %d lines:\n%s", name, len(lines), short.String())
		}
		if !strings.HasPrefix(lines[0], "now ") || !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "state ") }) {
			t.Errorf("%s: it does not say what decides, and the state:\n%s", name, short.String())
		}
		left := slices.Contains([]string{"broken, 30 problems", "many files are not loaded", "a bundle is refused", "everything"}, name)
		if cut := strings.Contains(short.String(), "policy status --verbose"); cut != left {
			t.Errorf("%s: it says that there is more: %t\n%s\nof\n%s", name, cut, short.String(), whole.String())
		}
	}
	var out strings.Builder
	printStatus(&out, statuses()["everything"], false)
	at := -1
	for _, want := range []string{"now          LOOK: ", "\ncontrol      PINNED", "\nstate        stale", "\nproblem      p.rego:2:2: mistake 2 (and 28 more)", "\naudit        NOT WRITTEN", "\nsettings     config.yaml is refused", "\nmore  "} {
		i := strings.Index(out.String(), want)
		if i <= at {
			t.Errorf("%q is not there, or not in its place:\n%s", want, out.String())
		}
		at = i
	}
}
