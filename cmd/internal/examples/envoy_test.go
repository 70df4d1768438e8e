package examples_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"defenseclaw/cmd/internal/testutil"
)

// judged is what the policy of the example makes of a request.
type judged struct {
	Method, Path, Key, Type, Body string
	Status                        int
	Says, Staff                   string
}

// order is one of Ada's, with a body.
func order(body string, status int, says, staff string) judged {
	return judged{"POST", "/orders", "key-of-ada", "application/json", body, status, says, staff}
}

var requests = []judged{
	{Method: "GET", Path: "/public/logo.png?size=1", Status: 200},
	{Method: "GET", Path: "/private", Status: 403, Says: "not allowed\n"},
	{Method: "GET", Path: "/public%zz", Status: 400},
	order(`{"amount": 100}`, 200, "", "ada"),
	order(`{"amount": 101}`, 403, "not allowed\n", ""),
	order(`{"amount": "1"}`, 403, "not allowed\n", ""),
	order(`{"amount": `, 400, "", ""),
	order(`{"amount": 1, "note": "`+strings.Repeat("x", 9000)+`"}`, 403, "not allowed\n", ""),
	{"POST", "/orders", "key-of-eve", "application/json", `{"amount": 1}`, 403, "not allowed\n", ""},
	{"POST", "/orders", "key-of-ada", "text/plain", `{"amount": 1}`, 403, "not allowed\n", ""},
}

// envoyVariable makes this test's binary call the sidecar as Envoy does by its configuration; see envoy_role_test.go.
const envoyVariable = "EXAMPLES_ENVOY"

// The example's script starts the sidecar, and what Envoy would ask by the example's configuration is answered. Envoy itself is
// not needed for that: a program of this test takes its place, which reads the configuration by Envoy's own schema.
func TestTheSidecarAnswersWhatEnvoyAsks(t *testing.T) {
	needs(t, "bash")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := onPath(t)
	if err := os.WriteFile(filepath.Join(bin, "envoy"), fmt.Appendf(nil, "#!/bin/sh\nexec env %s=1 %q \"$@\"\n", envoyVariable, self), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	asked, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), root+"envoy/run.sh")
	cmd.Env = append(environment(), "BIN="+bin, "ENVOY=", "PATH="+bin+":"+os.Getenv("PATH"), "TMPDIR="+short(t), requestsVariable+"="+string(asked))
	out := run(t, cmd)
	if out.code != 0 {
		t.Fatal(out)
	}
	_, answered, _ := strings.Cut(out.stdout, answersFollow)
	var answers []judged
	if err := json.Unmarshal([]byte(answered), &answers); err != nil || len(answers) != len(requests) {
		t.Fatalf("%v: %v", err, out)
	}
	for i, want := range requests {
		got := answers[i]
		if want.Status == http.StatusBadRequest {
			got.Says = "" // what is wrong, in words
		}
		if got.Status != want.Status || got.Says != want.Says || got.Staff != want.Staff {
			t.Errorf("%s %s with %.40s: %d %q %q", want.Method, want.Path, want.Body, got.Status, got.Says, got.Staff)
		}
	}
}

// The same, by Envoy itself, where it is installed or make envoy says where it is.
func TestEnvoyAsksTheSidecar(t *testing.T) {
	needs(t, cmp.Or(os.Getenv("ENVOY"), "envoy"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var output testutil.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, root+"envoy/run.sh")
	cmd.Env = append(environment(), "BIN="+onPath(t), "TMPDIR="+short(t), "PORT="+strconv.Itoa(port))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testutil.Patience}
	send := func(asked judged) (int, string, error) {
		req, err := http.NewRequestWithContext(t.Context(), asked.Method, "http://127.0.0.1:"+strconv.Itoa(port)+asked.Path, bytes.NewReader([]byte(asked.Body)))
		if err != nil {
			return 0, "", err
		}
		req.Header.Set("X-Api-Key", asked.Key)
		req.Header.Set("Content-Type", asked.Type)
		res, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		return res.StatusCode, string(text), err
	}
	if !testutil.Eventually(func() bool { _, _, err := send(requests[0]); return err == nil }) {
		t.Fatalf("Envoy does not answer:\n%s", output.String())
	}
	for _, want := range requests {
		if strings.Contains(want.Path, "%zz") {
			continue // no client sends it
		}
		status, text, err := send(want)
		if want.Status == http.StatusOK {
			want.Says = "the shop\n"
		}
		if err != nil || status != want.Status || want.Status != http.StatusBadRequest && text != want.Says {
			t.Errorf("%s %s with %.40s: %d %q %v", want.Method, want.Path, want.Body, status, text, err)
		}
	}
}

// short returns a folder for sockets, whose paths have a limit.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dc") //nolint:usetesting // the path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
