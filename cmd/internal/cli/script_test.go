package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"defenseclaw/api/gate"
	"defenseclaw/cmd/internal/fleet/broker"
	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/worker"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata run the commands that users run: the test binary is the program. In addition to
// the commands of testscript they have:
//
//	listening                    wait until the sidecar of this script answers /health
//	ready                        wait until it is ready for decisions
//	http METHOD PATH [Name:value…] [-t FILE] [-d BODY]
//	                             send a request with its token or the one in FILE, print the status and the body;
//	                             a header with an empty value is not sent
//	check [-t TOKEN] ADDR METHOD PATH [Name:value…] [-d BODY]
//	                             ask as Envoy does whether a request may pass, print the answer as JSON
//	freeport NAME                set a variable to a local address that is not in use
//	exec-code CODE PROGRAM…      run a program; it must exit with CODE
//	eventually REGEXP COMMAND…   repeat a command until its output matches
//	never REGEXP COMMAND…        repeat a command for a second; its output must never match
//	original-home, fingerprint, sqlite
//	                             see script_home_test.go
func TestMain(m *testing.M) {
	if os.Getenv(fickleVariable) != "" {
		registerFickle()
	}
	program := func() { os.Exit(Main(os.Args)) }
	if worker.Asked() || reviewer.Asked() { // by a test that runs a sidecar itself
		program()
	}
	operator := func() { os.Exit(Main(os.Args, broker.Run)) }
	testscript.Main(m, map[string]func(){"defenseclaw-gateway": program, "defenseclaw": operator})
}

func TestScripts(t *testing.T) { runScripts(t, "testdata") }

// TestScenarios runs failures that happened in the field, one script each.
func TestScenarios(t *testing.T) { runScripts(t, "testdata/scenarios") }

// TestTakingOver runs the sidecar on homes of the original gateway; a script for each difference that was found.
func TestTakingOver(t *testing.T) { runScripts(t, "testdata/takeover") }

// TestScriptsWithIsolation runs scripts about decisions where these are made in worker processes.
func TestScriptsWithIsolation(t *testing.T) {
	if underRace {
		t.Skip("workers take long to start under the race detector")
	}
	p := scriptParams("DEFENSECLAW_ISOLATION=process")
	for _, name := range []string{"contract_decisions", "decision_log", "decision_log_envoy", "decision_timeout", "edit_and_serve", "envoy", "metrics"} {
		p.Files = append(p.Files, filepath.Join("testdata", name+".txt"))
	}
	testscript.Run(t, p)
}

// runScripts runs the scripts of a folder. vars are additional environment variables, as NAME=value.
func runScripts(t *testing.T, dir string, vars ...string) {
	p := scriptParams(vars...)
	p.Dir = dir
	testscript.Run(t, p)
}

// scriptParams says how scripts run.
func scriptParams(vars ...string) testscript.Params {
	return testscript.Params{
		Deadline: time.Now().Add(5 * time.Minute), // a script that hangs is stopped and shown
		Condition: func(condition string) (bool, error) {
			if name, ok := strings.CutPrefix(condition, "exists:"); ok {
				_, err := os.Stat(name)
				return err == nil, nil
			}
			switch condition {
			case "root":
				return os.Geteuid() == 0, nil
			case "race":
				return underRace, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("DEFENSECLAW_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("DEFENSECLAW_API_PORT", "0")
			env.Setenv("NO_COLOR", "1")
			env.Setenv("DEFENSECLAW_SHADOW", "1")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command takes a second more under the race detector
			env.Defer(func() { noDifference(env) })
			env.Vars = append(env.Vars, vars...)
			return nil
		},
		Cmds: withPlatform(map[string]func(*testscript.TestScript, bool, []string){
			"listening":  func(ts *testscript.TestScript, neg bool, _ []string) { waitForAnswer(ts, neg, "/health") },
			"ready":      func(ts *testscript.TestScript, neg bool, _ []string) { waitForAnswer(ts, neg, "/health/ready") },
			"http":       scriptHTTP,
			"check":      scriptCheck,
			"freeport":   scriptFreePort,
			"eventually": scriptEventually,
			"never":      scriptNever,
			"exec-code":  scriptExecCode,

			"original-home": scriptOriginalHome,
			"fingerprint":   scriptFingerprint,
			"sqlite":        scriptSQLite,
		}),
	}
}

// platformCommands are the commands that only this platform has.
var platformCommands map[string]func(*testscript.TestScript, bool, []string)

func withPlatform(own map[string]func(*testscript.TestScript, bool, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	maps.Copy(own, platformCommands)
	return own
}

func gatewayURL(ts *testscript.TestScript) (string, error) {
	text, err := os.ReadFile(filepath.Join(ts.Getenv("DEFENSECLAW_HOME"), "gateway.json"))
	if err != nil {
		return "", err
	}
	var g settings.Gateway
	if err := json.Unmarshal(text, &g); err != nil {
		return "", err
	}
	return "http://" + g.APIAddr, nil
}

func waitForAnswer(ts *testscript.TestScript, neg bool, path string) {
	if neg {
		ts.Fatalf("unsupported: !")
	}
	last := ""
	if !testutil.Eventually(func() bool {
		url, err := gatewayURL(ts)
		if err != nil {
			last = err.Error()
			return false
		}
		response, err := http.Get(url + path)
		if err != nil {
			last = err.Error()
			return false
		}
		response.Body.Close()
		last = response.Status
		return response.StatusCode == http.StatusOK
	}) {
		ts.Fatalf("%s did not answer 200 within %s: %s", path, testutil.Patience, last)
	}
}

func scriptHTTP(ts *testscript.TestScript, neg bool, args []string) {
	text, err := call(ts, args)
	if err != nil {
		ts.Fatalf("http: %v", err)
	}
	_, _ = ts.Stdout().Write([]byte(text))
	if ok := strings.HasPrefix(text, "2"); ok == neg {
		ts.Fatalf("http %v: %s", args, text)
	}
}

// madeToken returns the token that the first start generated, or the one of a home that the original left.
func madeToken(ts *testscript.TestScript) string {
	env, _ := os.ReadFile(filepath.Join(ts.Getenv("DEFENSECLAW_HOME"), ".env"))
	last := ""
	for line := range strings.Lines(string(env)) {
		name, token, _ := strings.Cut(strings.TrimSpace(line), "=")
		if strings.HasSuffix(name, "GATEWAY_TOKEN") {
			last = strings.Trim(token, `"`)
		}
	}
	return last
}

// call makes the request that the arguments of the http command describe.
func call(ts *testscript.TestScript, args []string) (string, error) {
	if len(args) < 2 {
		return "", fmt.Errorf("usage: http METHOD PATH [Name:value…] [-d BODY]")
	}
	url, err := gatewayURL(ts)
	if err != nil {
		return "", err
	}
	var body io.Reader
	headers := http.Header{}
	token := madeToken(ts)
	headers.Set("Authorization", "Bearer "+token)
	headers.Set(gate.HeaderClient, "test")
	for i := 2; i < len(args); i++ {
		if args[i] == "-t" && i+1 < len(args) {
			i++
			headers.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[i])))
			continue
		}
		if args[i] == "-d" && i+1 < len(args) {
			i++
			body = strings.NewReader(args[i])
			if headers.Get("Content-Type") == "" {
				headers.Set("Content-Type", "application/json")
			}
			continue
		}
		name, value, _ := strings.Cut(strings.ReplaceAll(args[i], "$TOKEN", token), ":")
		headers.Set(name, value)
	}
	request, err := http.NewRequest(args[0], url+args[1], body)
	if err != nil {
		return "", err
	}
	for name, values := range headers {
		if values[0] != "" {
			request.Header[name] = values
		}
	}
	if host := headers.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := (&http.Client{Timeout: testutil.Patience}).Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	text := response.Status + "\n"
	if allow := response.Header.Get("Allow"); allow != "" {
		text += "Allow: " + allow + "\n"
	}
	return text + string(answer), err
}

// attempt runs http, check or a program once, and returns its output.
func attempt(ts *testscript.TestScript, command []string) string {
	if own := map[string]func(*testscript.TestScript, []string) (string, error){"http": call, "check": checkAsEnvoy}[command[0]]; own != nil {
		text, err := own(ts, command[1:])
		if err != nil {
			return err.Error()
		}
		return text
	}
	err := ts.Exec(command[0], command[1:]...)
	text := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	if err != nil {
		text += "\n[" + err.Error() + "]\n"
	}
	return text
}

func scriptExecCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exec-code CODE PROGRAM…")
	}
	want := "[exit status " + args[0] + "]"
	if args[0] == "0" {
		want = ""
	}
	err := ts.Exec(args[1], args[2:]...)
	got := ""
	if err != nil {
		got = "[" + err.Error() + "]"
	}
	if got != want {
		ts.Fatalf("%v ended with %q; want exit code %s", args[1:], got, args[0])
	}
}

func scriptEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually REGEXP COMMAND…")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var got string
	if !testutil.Eventually(func() bool {
		got = attempt(ts, args[1:])
		return want.MatchString(got)
	}) {
		ts.Fatalf("within %s nothing matched %q; the last output was:\n%s", testutil.Patience, args[0], got)
	}
}

func scriptNever(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: never REGEXP COMMAND…")
	}
	not, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got := attempt(ts, args[1:]); not.MatchString(got) {
			ts.Fatalf("%q matched:\n%s", args[0], got)
		}
	}
}
