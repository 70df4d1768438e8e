//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/cmd/internal/testutil"
)

// diagnosed says how each command is run that tells of places in a policy's files: DIR, FILE and DATA stand for the policy directory,
// for its file and for the running sidecar's home.
var diagnosed = map[string]struct{ pack, args string }{
	"validate":            {"broken", "policy validate DIR"},
	"validate for tools":  {"broken", "policy validate DIR --format line"},
	"test":                {"broken", "policy test DIR"},
	"a failed test":       {"failing", "policy test DIR"},
	"its trace":           {"failing", "policy test DIR -v"},
	"its coverage":        {"failing", "policy test DIR --coverage"},
	"fmt":                 {"broken", "policy fmt DIR"},
	"fmt of a file":       {"broken", "policy fmt FILE"},
	"lint":                {"open", "policy lint DIR"},
	"try":                 {"broken", "policy try p/x DIR"},
	"try --explain":       {"failing", "policy try p/x DIR --explain"},
	"eval":                {"broken", "policy eval data DIR"},
	"eval --explain":      {"failing", "policy eval data.p.x DIR --explain"},
	"repl":                {"broken", "policy repl DIR"},
	"deps":                {"broken", "policy deps data.p.x DIR"},
	"references":          {"failing", "policy deps data.p.x DIR"},
	"show":                {"broken", "policy show DIR"},
	"domains":             {"broken", "policy domains DIR"},
	"evaluate":            {"broken", "policy evaluate --rego-dir DIR --target-name x"},
	"evaluate-firewall":   {"broken", "policy evaluate-firewall --rego-dir DIR --destination x"},
	"edit":                {"broken", "policy edit guardrail --policy-dir DIR --block-threshold 2"},
	"bundle build":        {"broken", "policy bundle build DIR -o /dev/null"},
	"diff of directories": {"broken", "policy diff DIR DIR"},
	"dev":                 {"broken", "policy dev --plain DIR"},
	"dev, a failed test":  {"failing", "policy dev --plain DIR"},
	"test --watch":        {"failing", "policy test --watch DIR"},
	"reload":              {"served", "policy reload --data-dir DATA"},
	"status":              {"served", "policy status --data-dir DATA"},
	"status --verbose":    {"served", "policy status --verbose --data-dir DATA"},
	"overview":            {"served", "status --data-dir DATA"},
	"diff by the sidecar": {"served", "policy diff serving disk --data-dir DATA"},
}

var diagnosedPacks = map[string]string{
	"broken/p.rego":       "package p\n\nx := := 1\n",
	"broken/data.json":    "{}",
	"failing/p.rego":      "package p\n\nx if input.role == \"admin\"\n\ny if data.p.x\n",
	"failing/p_test.rego": "package p_test\n\ntest_x if data.p.x with input as {\"role\": \"guest\"}\n",
	"open/p.rego":         "package p\n\ndeny contains \"x\" if {\n\tinput.tier >= 2\n\tnot input.person in data.accounts\n}\n",
	"served/p.rego":       "package p\n\nx := 1\n",
}

// TestPlacesAreRelativeToWhereTheUserStands runs each command in four folders. A terminal makes FILE:LINE something to click on
// where FILE is there from the folder in which the shell is.
func TestPlacesAreRelativeToWhereTheUserStands(t *testing.T) {
	above, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(above, "project")
	for name, text := range diagnosedPacks {
		writeFile(t, filepath.Join(root, name), text)
	}
	stands := map[string]func(pack string) string{
		"the root":               func(string) string { return root },
		"a folder in the pack":   func(pack string) string { return filepath.Join(root, pack, "inner") },
		"a folder above":         func(string) string { return above },
		"another folder":         func(string) string { return filepath.Join(root, "elsewhere") },
		"the pack, by its path":  func(pack string) string { return filepath.Join(root, pack) },
		"elsewhere, by its path": func(string) string { return filepath.Join(root, "elsewhere") },
	}
	for _, stand := range stands {
		for pack := range map[string]bool{"broken": true, "failing": true, "open": true, "served": true} {
			if err := os.MkdirAll(stand(pack), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	gateway, home := program(t), filepath.Join(t.TempDir(), "home")
	serveBroken(t, gateway, home, root)
	for where, stand := range stands {
		for name, run := range diagnosed {
			t.Run(name+" from "+where, func(t *testing.T) {
				t.Parallel()
				pack, at := filepath.Join(root, run.pack), stand(run.pack)
				dir, err := filepath.Rel(at, pack)
				if strings.HasSuffix(where, "by its path") {
					dir = pack
				}
				if err != nil {
					t.Fatal(err)
				}
				replaced := strings.NewReplacer("DIR", dir, "FILE", filepath.Join(dir, "p.rego"), "DATA", home).Replace(run.args)
				if strings.HasSuffix(where, "by its path") && strings.Contains(run.args, "--format line") {
					t.Skip("programs find files by the path that they gave")
				}
				checkPlaces(t, pack, at, printedBy(t, gateway, at, strings.Fields(replaced)))
			})
		}
	}
}

var placeInText = regexp.MustCompile(`([^\s(,]+\.rego)\b`)

func checkPlaces(t *testing.T, pack, at, text string) {
	t.Helper()
	found := 0
	for _, match := range placeInText.FindAllStringSubmatchIndex(text, -1) {
		file := text[match[2]:match[3]]
		line, _, _ := strings.Cut(text[match[3]:], "\n")
		if filepath.IsAbs(file) || filepath.Dir(filepath.Join(at, file)) != pack {
			t.Errorf("%s is not relative to %s, where the user stands, in\n%s", file, at, text)
		}
		if strings.HasPrefix(line, ":") || strings.HasPrefix(line, " ") {
			found++
		}
	}
	if found == 0 {
		t.Errorf("no place is told:\n%s", text)
	}
}

// printedBy is what a command prints that may go on until it is ended.
func printedBy(t *testing.T, gateway, at string, args []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
	defer cancel()
	c := exec.CommandContext(ctx, gateway, args...)
	c.Dir, c.WaitDelay = at, testutil.Patience
	c.Env = append(os.Environ(), "PWD="+at, "NO_COLOR=1", "DEFENSECLAW_HOME="+filepath.Join(t.TempDir(), "none"), "DEFENSECLAW_API_PORT=0", "PATH=")
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	var out testutil.Buffer
	if c.Stderr = &out; args[1] != "reload" { // whose standard output is the sidecar's JSON
		c.Stdout = &out
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if args[1] == "dev" || strings.Contains(strings.Join(args, " "), "--watch") {
		if !testutil.Eventually(func() bool { return placeInText.MatchString(out.String()) }) {
			t.Errorf("it prints no place:\n%s", out.String())
		}
		cancel()
	}
	if err := c.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return out.String()
}

// serveBroken starts a sidecar in root on its folder served, whose policy then breaks.
func serveBroken(t *testing.T, gateway, home, root string) {
	t.Helper()
	c := exec.Command(gateway, "serve", "--policy-dir", "served", "--data-dir", home)
	c.Dir, c.Env = root, append(os.Environ(), "PWD="+root, "DEFENSECLAW_API_PORT=0")
	var out testutil.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = c.Wait()
	})
	state := func(want string) func() bool {
		return func() bool {
			return strings.Contains(printedBy(t, gateway, root, []string{"policy", "status", "--data-dir", home}), want)
		}
	}
	if !testutil.Eventually(state("state        current")) {
		t.Fatalf("it does not serve:\n%s", out.String())
	}
	writeFile(t, filepath.Join(root, "served", "p.rego"), "package p\n\nx := := 1\n")
	if !testutil.Eventually(state("state        stale")) {
		t.Fatalf("it does not see the edit:\n%s", out.String())
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// coloured says what each command shows in colours.
var coloured = map[string]struct {
	pack, args, shows string
	style             terminal.Style
}{
	"a diagnostic":     {"broken", "policy validate DIR", "error[rego_parse_error]", terminal.Alarm},
	"a sound policy":   {"failing", "policy validate DIR", "All Rego modules compiled successfully.", terminal.Good},
	"a failed test":    {"failing", "policy test DIR", "FAIL", terminal.Bad},
	"a condition":      {"failing", "policy try p/x DIR --explain", "failed", terminal.Bad},
	"an error":         {"failing", "policy try nowhere/x DIR", "Error:", terminal.Alarm},
	"a difference":     {"failing", "policy diff DIR other --rules", "    + y := 1", terminal.Good},
	"what is lost":     {"failing", "policy diff DIR other --rules", "    - y if data.p.x", terminal.Bad},
	"a formatted line": {"open", "policy fmt --diff DIR", "+x := 1", terminal.Good},
	"a log line":       {"broken", "serve --policy-dir DIR --log-format console", "ERROR", terminal.Bad},
	"a loop":           {"failing", "policy dev --plain DIR", "", terminal.Plain}, // lines for logs and editors
}

func TestColoursAreShownWhereTheyAreWanted(t *testing.T) {
	root, gateway := t.TempDir(), program(t)
	for name, text := range diagnosedPacks {
		writeFile(t, filepath.Join(root, name), text)
	}
	writeFile(t, filepath.Join(root, "other", "p.rego"), "package p\n\nx if input.role == \"admin\"\n\ny := 1\n")
	writeFile(t, filepath.Join(root, "open", "q.rego"), "package q\n\nx   :=   1\n")
	for name, run := range coloured {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for variables, want := range map[string]bool{
				"FORCE_COLOR=1": true, "CLICOLOR_FORCE=1": true, "": false, "NO_COLOR=1 FORCE_COLOR=1": false, "FORCE_COLOR=0": false, "TERM=dumb": false,
			} {
				text := shownBy(t, gateway, root, strings.Fields(strings.ReplaceAll(run.args, "DIR", run.pack)), strings.Fields(variables))
				if !strings.Contains(terminal.Bare(text), run.shows) {
					t.Fatalf("%s does not show %q:\n%s", run.args, run.shows, text)
				}
				switch {
				case want && !strings.Contains(text, string(run.style.Of(terminal.Clean(run.shows)))) && run.style != terminal.Plain:
					t.Errorf("%q: %q is not in the colour %q:\n%q", variables, run.shows, run.style, text)
				case !want && strings.Contains(text, "\x1b"):
					t.Errorf("%q: there are colours:\n%q", variables, text)
				}
			}
		})
	}
}

// shownBy is what a command prints with these variables, until it ends or has shown something.
func shownBy(t *testing.T, gateway, at string, args, variables []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
	defer cancel()
	c := exec.CommandContext(ctx, gateway, args...)
	home := filepath.Join(t.TempDir(), "home")
	c.Dir, c.WaitDelay = at, testutil.Patience
	c.Env = append([]string{"HOME=" + home, "DEFENSECLAW_HOME=" + home, "DEFENSECLAW_API_PORT=0", "PATH=" + os.Getenv("PATH")}, variables...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	var out testutil.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if args[0] == "serve" || args[1] == "dev" {
		testutil.Eventually(func() bool {
			return bytes.Contains([]byte(out.String()), []byte("ERROR")) || strings.Contains(out.String(), "failing")
		})
		cancel()
	}
	_ = c.Wait() // its exit code is not of interest
	return out.String()
}
