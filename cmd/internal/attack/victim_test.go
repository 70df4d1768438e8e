package attack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/policies"
)

const (
	token       = "attack-4f1e2d3c5b6a79880716253443526170" // as strong as a generated one
	memoryLimit = 1 << 30

	// policy is what the bystander asks about, and what ad hoc tries may use.
	policy = `package attack

ok if input.n == 1

same if input.a == input.b

numbers_up_to contains n if some n in numbers.range(1, input.n)
`
)

// victim is a running program, its policy directory and its data directory.
type victim struct {
	t      *testing.T
	top    string
	cmd    *exec.Cmd
	output testutil.Buffer
	ended  chan struct{}
	addr   string
	client *http.Client
}

// start starts the program on the default pack and the policy of this package.
func start(t *testing.T) *victim {
	t.Helper()
	v := &victim{t: t, top: t.TempDir(), client: &http.Client{Timeout: testutil.Patience, Transport: &http.Transport{}}}
	must(t, os.CopyFS(v.dir(), policies.FS()))
	v.write("attack.rego", policy)
	v.run()
	t.Cleanup(v.stop)
	return v
}

func (v *victim) dir() string             { return filepath.Join(v.top, "policy") }
func (v *victim) file(name string) string { return filepath.Join(v.dir(), name) }

func (v *victim) write(name, text string) {
	v.t.Helper()
	must(v.t, os.WriteFile(v.file(name), []byte(text), 0o600))
}

func (v *victim) state() string { return filepath.Join(v.top, "state") }

// run starts the program and waits until it is ready.
func (v *victim) run() {
	v.t.Helper()
	v.launch()
	if !testutil.Eventually(func() bool { return !v.alive() || v.ready() }) || !v.alive() {
		v.t.Fatalf("the program did not become ready: %s", v.lastWords())
	}
}

// launch starts the program under the memory limit.
func (v *victim) launch() {
	v.t.Helper()
	path := *program
	if path == "" {
		path = v.link(programName)
	}
	command := []string{path}
	if limitedName != "" {
		command = []string{v.link(limitedName), path}
	}
	command = append(command, "serve", "--policy-dir", v.dir(), "--data-dir", v.state(), "--api-port", "0")
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "DEFENSECLAW_GATEWAY_TOKEN="+token)
	cmd.Stdout, cmd.Stderr = &v.output, &v.output
	_ = os.Remove(filepath.Join(v.state(), "gateway.json"))
	must(v.t, cmd.Start())
	ended := make(chan struct{})
	v.cmd, v.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
}

// link gives this test binary another name, by which it does something else.
func (v *victim) link(name string) string {
	v.t.Helper()
	self, err := os.Executable()
	must(v.t, err)
	path := filepath.Join(v.top, name)
	if err := os.Link(self, path); err != nil && !errors.Is(err, fs.ErrExist) {
		must(v.t, os.Symlink(self, path))
	}
	return path
}

func (v *victim) ready() bool {
	var published struct {
		Addr string `json:"api_addr"`
	}
	text, err := os.ReadFile(filepath.Join(v.state(), "gateway.json"))
	if err != nil || json.Unmarshal(text, &published) != nil {
		return false
	}
	v.addr = published.Addr
	a, err := v.ask(http.MethodGet, "/health/ready", "")
	return err == nil && a.status == http.StatusOK
}

func (v *victim) stop() {
	_ = v.cmd.Process.Kill()
	<-v.ended
	v.client.CloseIdleConnections()
}

func (v *victim) alive() bool {
	select {
	case <-v.ended:
		return false
	default:
		return true
	}
}

// lastWords is what the program wrote when it ended: how a crash begins, or else the end of its output.
func (v *victim) lastWords() string {
	text := v.output.String()
	for _, crash := range []string{"runtime: ", "fatal error: ", "panic: "} {
		if at := strings.Index(text, "\n"+crash); at >= 0 {
			return text[at:min(len(text), at+3000)]
		}
	}
	return text[max(0, len(text)-1000):]
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %.300s", a.status, a.body) }

// ask sends a request with the token and a JSON body. Headers are pairs of name and value.
func (v *victim) ask(method, path, body string, headers ...string) (answer, error) {
	return v.send(v.client, method, path, strings.NewReader(body), headers...)
}

func (v *victim) send(client *http.Client, method, path string, body io.Reader, headers ...string) (answer, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+v.addr+path, body)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-DefenseClaw-Client", "attack")
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	got, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, 128<<20))
	return answer{got.StatusCode, got.Header, string(text)}, err
}

// decide asks for a decision whose answer is known. It is right, or refused for want of a slot.
func (v *victim) decide() (busy bool, err error) {
	a, err := v.ask(http.MethodPost, "/v1/data/attack/ok", `{"input":{"n":1}}`)
	switch {
	case err != nil:
		return false, fmt.Errorf("no decision: %w", err)
	case a.status == http.StatusOK && strings.Contains(a.body, `"result":true`):
		return false, nil
	case a.status == http.StatusServiceUnavailable:
		return true, nil
	}
	return false, fmt.Errorf("a decision of the policy that serves: %v", a)
}

// bystander asks for decisions, one after the other, until stop is called. stop returns the first wrong answer.
func (v *victim) bystander() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := v.decide(); err != nil {
				done <- fmt.Errorf("meanwhile, for another caller: %w", err)
				return
			}
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() error {
		cancel()
		return <-done
	}
}

// held returns what is not as it was before an attack.
func (v *victim) held() error {
	var wrong error
	if !testutil.Eventually(func() bool {
		var busy bool
		busy, wrong = v.decide()
		return !busy || !v.alive()
	}) {
		return errors.New("no decision gets a slot any more")
	}
	if !v.alive() {
		return errors.New("the process has ended")
	}
	return wrong
}

// status is the state that GET /policy/status tells, or what went wrong.
func (v *victim) status() string {
	a, err := v.ask(http.MethodGet, "/policy/status", "")
	var status struct {
		State string `json:"state"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(a.body), &status)
	}
	if err != nil {
		return err.Error()
	}
	return status.State
}

// becomes waits for a state.
func (v *victim) becomes(state string) error {
	last := ""
	if !testutil.Eventually(func() bool { last = v.status(); return last == state }) {
		return fmt.Errorf("the state is %s, and does not become %s", last, state)
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
