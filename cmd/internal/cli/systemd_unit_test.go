package cli

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
)

const unitFile = "../../../docs/systemd/defenseclaw-gateway.service"

// TestTheUnitIsHardened asks systemd how much the service is exposed.
func TestTheUnitIsHardened(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skipf("SKIPPED: the unit is not rated: %v", err)
	}
	output, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--no-pager", unitFile).CombinedOutput()
	rating := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(output)
	if rating == nil {
		t.Skipf("SKIPPED: this systemd does not rate a unit without running it: %v\n%s", err, output)
	}
	const most = 2.0
	if exposure, err := strconv.ParseFloat(string(rating[1]), 64); err != nil || exposure > most {
		t.Errorf("the exposure is %s, above %v:\n%s", rating[1], most, output)
	}
}

// TestTheUnitFitsTheProgram: its paths may be used as the flags need them, and its flags exist.
func TestTheUnitFitsTheProgram(t *testing.T) {
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	options := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			options[name] = append(options[name], strings.TrimPrefix(value, "-"))
		}
	}
	is := func(name, want string) {
		t.Helper()
		if !slices.Contains(options[name], want) {
			t.Errorf("%s is %q; want %s", name, options[name], want)
		}
	}
	if len(options["ExecStart"]) != 1 {
		t.Fatal(options["ExecStart"])
	}
	flags := map[string]string{}
	words := strings.Fields(options["ExecStart"][0])
	for i, word := range words {
		if name, ok := strings.CutPrefix(word, "--"); ok {
			flags[name] = words[i+1]
		}
	}
	for name := range flags {
		if !slices.ContainsFunc(settings.Table(), func(s settings.Setting) bool { return s.Flag == name }) {
			t.Errorf("there is no flag --%s", name)
		}
	}
	is("Type", "notify") // Debian 12 has systemd 252, which ignores notify-reload
	if reload := options["ExecReload"]; len(reload) != 2 || !strings.HasSuffix(reload[1], " policy reload --data-dir "+flags["data-dir"]) {
		t.Errorf("a reload is %q", reload)
	}
	is("StateDirectory", strings.TrimPrefix(flags["data-dir"], "/var/lib/"))
	is("StateDirectoryMode", "0700")
	is("ProtectSystem", "strict")
	if read := options["ReadOnlyPaths"]; len(read) != 1 || !strings.HasPrefix(flags["policy-dir"], read[0]+"/") {
		t.Errorf("the policy is in %s, and these can be read only: %q", flags["policy-dir"], read)
	}
	for _, name := range []string{"ReadWritePaths", "BindPaths", "AmbientCapabilities", "User"} {
		if options[name] != nil {
			t.Errorf("%s is %q", name, options[name])
		}
	}
	for _, name := range []string{"MemoryMax", "TasksMax", "UMask", "SystemCallFilter", "ProtectProc"} {
		if options[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	is("LimitCORE", "0") // a core dump has the tokens in it
}
