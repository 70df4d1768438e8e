//go:build unix

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/testutil"

	"github.com/urfave/cli/v2"
)

// hostile is what others put into names and texts: a line that looks like the program's, escape sequences, an
// override of the direction, C1, DEL, separators of lines, a command for GitHub, and bytes that are not UTF-8.
const hostile = "x\nError: forged\r\x1b[2J\x1b]0;owned\a\u202e\u2066\u200f\u0085\u009b31m\x7f\u2028::error::y\xff"

// hostileDir is a policy directory with such names and texts. good is one that loads.
func hostileDir(t *testing.T, good bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), hostile)
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		hostile + ".rego":       "package p\n\nallow if input.name == " + string(quoted) + "\n\nrule :=" + string(quoted) + "\n",
		hostile + "_test.rego":  "package p_test\n\ntest_name if {\n\tprint(" + string(quoted) + ")\n\tdata.p.rule == 1 # \u202e\x1b[2J\n}\n",
		hostile + ".input.json": `{"name": ` + string(quoted) + `}`,
		"data.json":             `{"firewall": {"default_action": ` + string(quoted) + `, "blocked_destinations": [` + string(quoted) + `]}}`,
	}
	if !good {
		files[hostile+"2.rego"] = "package p\n\nx := := 1 # \u202e\x1b[2J\n"
		files[hostile+"/data.json"] = "[]"
		files[hostile+"3.rego"] = "package q\n\nx := nowhere(\"\u202e\x1b\")\n"
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Skipf("this file system has no such names: %v", err)
		}
	}
	return dir
}

// runsOf says how each command is run. A command without a row fails the test.
func runsOf(good, bad, input string) map[string][][]string {
	dirs := func(args ...string) (runs [][]string) {
		for _, dir := range []string{good, bad} {
			runs = append(runs, append(args, "--rego-dir", dir))
		}
		return runs
	}
	validate, test := dirs("--format", "pretty"), slices.Concat(dirs("-v"), dirs("--coverage"), dirs("--threshold", "100"), dirs("--coverage-format", "json"),
		dirs("--coverage-format", "lcov"), dirs("--format", "json"), dirs("--format", "junit"), dirs("--bench"))
	for _, format := range report.Formats() {
		validate = append(validate, dirs("--format", format)...)
	}
	var replay [][]string
	for _, format := range append(report.ReplayFormats(), "json") {
		for _, dir := range []string{good, bad} {
			replay = append(replay, []string{"--from", decisionsOf(input), "--dir", dir, "--format", format})
		}
	}
	replay = append(replay, []string{"--from", hostile}, []string{"--from", decisionsOf(input), "--dir", good, "--base", hostile}, []string{"--format", hostile})
	forList := []string{"--reason", hostile, "--type", hostile}
	return map[string][][]string{
		"serve":                    {{"--policy-dir", bad, "--data-dir", hostile, "--api-port", hostile}},
		"status":                   {{}, {"--json"}},
		"version":                  {{}, {"--json"}, {hostile}},
		"healthcheck":              {{"--data-dir", hostile}, {"--api-port", hostile}, {hostile}},
		"help":                     {{}, {hostile}},
		"config check":             {{"--policy-dir", bad, "--data-dir", hostile}, {"--watch-mode", hostile}, {"--json", "--policy-dir", hostile}},
		"config show":              {{"--policy-dir", bad, "--data-dir", hostile}, {"--json", "--agent-id", hostile}, {"--given", "--agent-id", hostile}},
		"console":                  {{"--print"}, {hostile}},
		"policy reload":            {{}, {"--dry-run"}},
		"policy status":            {{}, {"--json"}},
		"policy diff":              {{}, {"--json"}, {good, bad}, {"--json", "--text", good, good}, {hostile}, {"serving", good}, {"1", hostile}, {good, hostile, hostile}},
		"policy review":            {{}, {"--json"}, {hostile}},
		"policy list":              {{"--policy-dir", good}, {"--policy-dir", bad, "--json"}, {hostile}},
		"policy activate":          {{"--dry-run", "--policy-dir", good, "strict"}, {"--dry-run", "--json", "--policy-dir", good, "strict"}, {"--policy-dir", bad, "strict"}, {"--policy-dir", good, hostile}},
		"policy create":            {{"--policy-dir", "", "--description", hostile, "hostile"}, {"--policy-dir", "", "hostile"}, {"--policy-dir", good, "--from", hostile, "x"}, {"--policy-dir", bad, hostile}},
		"policy edit actions":      {{"--policy-dir", good, "--severity", hostile}, {"--policy-dir", bad, "--severity", "high", "--file", "none"}, {hostile}},
		"policy edit scanner":      {{"--policy-dir", good, "--type", hostile}, {"--policy-dir", bad, "--type", "mcp", "--severity", "high", "--remove"}},
		"policy edit guardrail":    {{"--policy-dir", good, "--block-threshold", hostile}, {"--dry-run", "--policy-dir", good, "--block-threshold", "2"}, {"--policy-dir", bad, "--cisco-trust-level", hostile}},
		"policy edit firewall":     {{"--policy-dir", good, "--add-domain", hostile}, {"--dry-run", "--json", "--policy-dir", good, "--remove-domain", hostile, "--default-action", "deny"}, {"--dry-run", "--policy-dir", good, "--remove-blocked", hostile}},
		"policy validate":          validate,
		"policy replay":            replay,
		"policy test":              append(test, append([]string{"--watch"}, dirs()[0]...)),
		"policy init":              {{filepath.Join(good, hostile)}, {filepath.Join(good, hostile)}},
		"policy dev":               {{"--plain", good}, {"--plain", bad}, {"--plain", hostile}, {"--plain", "--serve", "--log-format", "console", bad}},
		"policy try":               append(slices.Concat(dirs("--explain", "--coverage", "--input", input), dirs("--json")), []string{"--live", "--explain", "--input", input}),
		"policy rollback":          {{}, {"--reason", hostile}, {hostile}, {"--confirm", "1m", "1", hostile}},
		"policy sign":              {{"--key", input, "--algorithm", "HS256", "--key-id", hostile, "--signature-scope", hostile, good}, {"--key", hostile, "--key-id", "k", "--signature-scope", "s", bad}, {hostile, hostile}},
		"policy verify":            {{"--signature-keys", "k:HS256=" + input, "--signature-scope", hostile, good}, {"--signature-keys", hostile, good}, {good}},
		"policy bundle build":      {{"-o", filepath.Join(bad, "b.tar.gz"), "--revision", hostile, "--signing-key", input, "--signing-alg", "HS256", "--scope", hostile, good}, {"-o", bad + "/x", bad}, {"-o", hostile, hostile, hostile}},
		"policy bundle sign":       {{filepath.Join(bad, "b.tar.gz"), "--signing-key", input, "--signing-alg", "HS256", "--key-id", hostile, "--scope", hostile}, {hostile}, {"--signing-key", hostile, "--scope", hostile, hostile}},
		"policy bundle verify":     {{"--signature-keys", "k:HS256=" + input, "--signature-scope", hostile, filepath.Join(bad, "b.tar.gz")}, {hostile}},
		"policy bundle inspect":    {{filepath.Join(bad, "b.tar.gz")}, {"--json", filepath.Join(bad, "b.tar.gz")}, {hostile}},
		"policy hold":              {{}, {"--reason", hostile}, {hostile}},
		"policy resume":            {{}, {"--reason", hostile}, {hostile}},
		"policy confirm":           {{}, {"--reason", hostile}, {hostile}},
		"policy approve":           {{}, {"--reason", hostile, hostile}, {hostile}},
		"policy reject":            {{}, {"--reason", hostile, hostile}, {hostile}},
		"policy history":           {{}, {"--json"}, {hostile}},
		"policy history show":      {{"1"}, {"--json", "1"}, {hostile}},
		"policy history export":    {{"--policy-dir", good, "1", filepath.Join(good, hostile)}, {"--policy-dir", bad, hostile, hostile}},
		"policy blame":             {{hostile}, {"--json", "data.p"}, {"--policy-dir", good, "data"}},
		"policy why":               {{hostile}, {"--policy-dir", good, "--decision-log-file", input, hostile}},
		"policy fmt":               {{good}, {"--diff", good}, {"--check", bad}, {hostile}, {"--diff", "--stdin-filename", hostile, "-"}},
		"policy eval":              {{hostile, good}, {"data", good}, {"data", good, "-i", input, "--explain", "--coverage", "--profile"}, {"data", good, "-f", "raw"}, {"some x, y in data.p", good}, {"data", good, "-f", "json"}, {"input[x]", good, "-i", input}, {"data", bad, "--partial"}, {"data", "-d", hostile}, {"print(data)", good, "--package", hostile}},
		"policy repl":              {{good}, {good, "--input", input}, {bad}, {hostile}, {"--history", hostile, bad}},
		"policy deps":              {{"data.p", good}, {"data.p", good, "--json"}, {hostile, bad}, {"data." + "p[x]", bad}},
		"policy lint":              {{good}, {hostile}},
		"policy evaluate":          dirs("--target-name", hostile),
		"policy evaluate-firewall": dirs("--destination", hostile),
		"policy show":              dirs(),
		"policy domains":           append(dirs(), append(dirs()[0], "--json")),
		"list add":                 {slices.Concat(forList, []string{"--source-path", hostile, "allow", hostile}), slices.Concat(forList, []string{"block", hostile}), {hostile}},
		"list show":                {{}, {"--json"}, {hostile}},
		"list remove":              {slices.Concat(forList, []string{"block", hostile}), {"block", hostile}},
		"audit list":               {{}, {"--json"}, {"--actor", hostile}, {"--since", hostile}, {"--file", hostile}},
		"audit follow":             {{hostile}, {"--action", hostile}},
		"policy watch":             {{hostile}},
		"audit export":             {{}, {"--output", "no/such/" + hostile}, {"--original", "--file", hostile}},
		"list import":              {{"--from", hostile}, {"--dry-run"}},
		"policy record":            {{}, {"--json"}, {hostile}},
		"policy record status":     {{}, {"--json"}, {hostile}},
		"policy record list":       {{}, {"--json"}, {"--text", hostile}, {"--path", hostile}, {hostile}},
		"policy record show":       {{hostile}, {"--test", hostile}, {}},
		"policy record export":     {{}, {hostile}},
		"policy record clear":      {{hostile}, {}},
		"audit verify":             {{}, {"--json"}, {"--head", hostile}, {"--file", hostile}},
		"token":                    {{}, {"--header"}, {hostile}},
		"token new":                {{"--name", "good", "--scope", "read"}, {"--name", hostile, "--scope", "read"}, {"--name", "x", "--scope", hostile}, {"--name", "x", "--scope", "read", "--expires", hostile}},
		"token list":               {{}, {"--json"}, {hostile}},
		"token revoke":             {{hostile}, {"good"}, {}},
		"migrate":                  {{"--check"}, {"--check", good}, {"--check", "--json", "--policy-dir", bad}, {"--check", "--policy-dir", bad, "--api-bind", hostile}, {hostile}},
		"lsp":                      {{hostile, hostile}},
		"completion":               {{"bash"}, {hostile}},
	}
}

// decisionsOf is the name of a decision log with the input of this file.
func decisionsOf(input string) string { return input + ".jsonl" }

// leaves lists the commands of a tree that do something, not only their own commands.
func leaves(commands []*cli.Command, path ...string) (found [][]string) {
	for _, c := range commands {
		at := append(slices.Clone(path), c.Name)
		found = append(found, leaves(c.Subcommands, at...)...)
		if len(c.Subcommands) == 0 || len(c.Flags) > 0 {
			found = append(found, at)
		}
	}
	return found
}

func TestNoCommandPrintsControlCharactersOfOthers(t *testing.T) {
	good, bad := hostileDir(t, true), hostileDir(t, false)
	gateway, home := program(t), filepath.Join(t.TempDir(), "state")
	regal := filepath.Join(t.TempDir(), "regal")
	if err := os.WriteFile(regal, []byte("#!/bin/sh\nprintf '::error::x\\033[2J\\n' | tee /dev/stderr\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *exec.Cmd {
		ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
		t.Cleanup(cancel)
		c := exec.CommandContext(ctx, gateway, args...)
		c.Env = append(os.Environ(), "DEFENSECLAW_HOME="+home, "DEFENSECLAW_API_PORT=0", "GITHUB_ACTIONS=true", "PATH="+filepath.Dir(regal)+":"+os.Getenv("PATH"))
		c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
		c.WaitDelay = testutil.Patience
		return c
	}
	log := serveHostile(t, run, home, good)
	if err := os.WriteFile(filepath.Join(good, hostile+"2.rego"), []byte("package p\n\nx := := 1 # \u202e\x1b[2J\n"), 0o600); err != nil {
		t.Fatal(err) // what serves is stale now: status and reload have problems to show
	}
	input := filepath.Join(good, hostile+".input.json")
	text, err := os.ReadFile(input)
	if err != nil {
		t.Fatal(err)
	}
	event := `{"decision_id":"\u202e","path":"p/rule","result":"\u001b[2J","input":` + string(text) + `}` + "\n"
	if err := os.WriteFile(decisionsOf(input), []byte(event), 0o600); err != nil {
		t.Fatal(err)
	}
	runs := runsOf(hostileDir(t, true), bad, input)
	maps.Copy(runs, fleetRuns(good, bad, input))
	for _, command := range leaves(newApp().Commands) {
		all, ok := runs[strings.Join(command, " ")]
		if !ok {
			t.Errorf("%s has no row in runsOf: say how it is run", strings.Join(command, " "))
		}
		for _, args := range all {
			c := run(slices.Concat(command, args)...)
			var stdout, stderr bytes.Buffer
			c.Stdout, c.Stderr = &stdout, &stderr
			if slices.Contains(args, "--plain") || slices.Contains(args, "--watch") {
				runFor(t, c)
			} else if err := c.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Fatal(err)
			}
			checkPrinted(t, args, command, stdout.String(), stderr.String())
		}
	}
	checkPrinted(t, nil, []string{"serve"}, log().stdout, log().stderr)
}

// runFor runs a command that does not end by itself.
func runFor(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // what it prints later than this is not looked at
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = c.Wait() // its exit code is not of interest
}

type printed struct{ stdout, stderr string }

// serveHostile starts a sidecar, asks it as hostile callers do, and returns what ends it.
func serveHostile(t *testing.T, run func(...string) *exec.Cmd, home, dir string) func() printed {
	t.Helper()
	c := run("serve", "--policy-dir", dir, "--log-format", "console", "--log-level", "debug", "--decision-log")
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() printed {
		_ = c.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = c.Wait()
		return printed{stdout.String(), stderr.String()}
	}
	t.Cleanup(func() { end() })
	var gateway struct {
		Addr string `json:"api_addr"`
	}
	if !testutil.Eventually(func() bool {
		text, err := os.ReadFile(filepath.Join(home, "gateway.json"))
		return err == nil && json.Unmarshal(text, &gateway) == nil
	}) {
		t.Fatalf("it does not listen:\n%s", end().stderr)
	}
	token, err := os.ReadFile(filepath.Join(home, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"input": map[string]string{"name": hostile}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/data/p", "/policy/reload", "/v1/data/%1b%5b2J%0a"} {
		request, err := http.NewRequest(http.MethodPost, "http://"+gateway.Addr+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_, value, _ := strings.Cut(strings.TrimSpace(string(token)), "=")
		request.Header.Set("Authorization", "Bearer "+value)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-DefenseClaw-Client", "evil\u202e\u009b31m\xff")
		request.Header.Set("X-DefenseClaw-Request-Id", "id\u202e")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	return end
}

func checkPrinted(t *testing.T, args, command []string, stdout, stderr string) {
	t.Helper()
	for stream, text := range map[string]string{"stdout": stdout, "stderr": stderr} {
		if !utf8.ValidString(text) {
			t.Errorf("%q %q: %s is not UTF-8:\n%q", command, args, stream, text)
		}
		if i := strings.IndexFunc(text, func(r rune) bool {
			return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
		}); i >= 0 {
			t.Errorf("%q %q: %s has %q", command, args, stream, text[max(0, i-40):min(len(text), i+40)])
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimSpace(line), "Error: forged") {
				t.Errorf("%q %q: a name has a line of its own in %s:\n%s", command, args, stream, text)
				break
			}
			github := slices.Contains(args, "github") && stream == "stdout"
			own := slices.ContainsFunc([]string{"::error file=", "::warning file=", "::notice title="}, func(begin string) bool { return strings.HasPrefix(line, begin) })
			if strings.HasPrefix(strings.TrimSpace(line), "::") && (!github || !own) {
				t.Errorf("%q %q: %s has a command for GitHub: %s", command, args, stream, line)
			}
		}
	}
	switch {
	case slices.Contains(args, "json") || slices.Contains(args, "--json") || slices.Contains(args, "sarif"):
		if stdout != "" && !json.Valid([]byte(stdout)) {
			t.Errorf("%q %q: not JSON:\n%s", command, args, stdout)
		}
	case slices.Contains(args, "junit"):
		if err := xml.Unmarshal([]byte(stdout), new(struct{})); err != nil {
			t.Errorf("%q %q: %v:\n%s", command, args, err, stdout)
		}
	}
}
