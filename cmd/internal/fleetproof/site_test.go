package fleetproof_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/testutil"
)

// token is what the sidecars of the tests expect.
const token = "fleet-0d6b1c5e8f7a49325146788091a2b3c4"

// site is a channel of a broker, and a publisher with a key, who uses the commands of the program.
type site struct {
	t    *testing.T
	url  string // of the channel
	dir  string
	keys string // the file that agents have
}

func newSite(t *testing.T, broker string) *site {
	t.Helper()
	s := &site{t: t, url: broker + "/prod", dir: t.TempDir()}
	s.keys = filepath.Join(s.dir, "keys")
	made := s.must("fleet", "key", "new", "team", "--role", "release", "--out", s.key())
	s.write("keys", made.out)
	return s
}

func (s *site) key() string { return filepath.Join(s.dir, "team.key") }

func (s *site) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return path
}

// policy makes a directory whose document x of package p is a value.
func (s *site) policy(x string) string {
	s.t.Helper()
	return filepath.Dir(s.write("policy-"+x+"/p.rego", "package p\n\nx := "+x+"\n"))
}

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

func (r result) String() string { return fmt.Sprintf("exit code %d: %s%s", r.code, r.out, r.err) }

// revision is the one that a command named first.
func (r result) revision() string {
	for word := range strings.FieldsSeq(r.out) {
		if strings.HasPrefix(word, "sha256:") {
			return strings.TrimRight(word, ";:,")
		}
	}
	return ""
}

// command is the program with arguments, for the broker of the site.
func (s *site) command(args ...string) *exec.Cmd {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), self)
	cmd.Args = append([]string{"defenseclaw"}, args...)
	cmd.Env = append(os.Environ(), programVariable+"=1", "GORACE=atexit_sleep_ms=0", "NO_COLOR=1", "DEFENSECLAW_HOME="+s.dir,
		"DEFENSECLAW_FLEET_URL="+s.url, "DEFENSECLAW_FLEET_KEY=", "DEFENSECLAW_FLEET_SOURCE_KEYS="+s.keys)
	return cmd
}

// start starts a command. The function returns how it ended.
func (s *site) start(args ...string) (*exec.Cmd, func() result) {
	s.t.Helper()
	cmd := s.command(args...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd, func() result {
		if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
			s.t.Error(err)
		}
		return result{cmd.ProcessState.ExitCode(), out.String(), err.String()}
	}
}

func (s *site) run(args ...string) result {
	s.t.Helper()
	_, wait := s.start(args...)
	return wait()
}

// must runs a command that has to succeed.
func (s *site) must(args ...string) result {
	s.t.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.t.Fatalf("%s: %s", strings.Join(args, " "), r)
	}
	return r
}

// publish has the channel serve a policy, and returns the revision.
func (s *site) publish(x string, args ...string) string {
	s.t.Helper()
	return s.must(append([]string{"fleet", "publish", s.policy(x), "--key", s.key()}, args...)...).revision()
}

// sidecar is the program as an agent of a channel.
type sidecar struct {
	s      *site
	id     string
	url    string
	args   []string
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
}

// sidecar starts one, and ends it with the test. url is where it finds the channel; empty: where everybody does.
func (s *site) sidecar(id, url string, args ...string) *sidecar {
	s.t.Helper()
	if url == "" {
		url = s.url
	}
	a := &sidecar{s: s, id: id, url: url, args: args}
	a.start()
	s.t.Cleanup(func() {
		a.kill()
		if s.t.Failed() {
			text := a.output.String()
			s.t.Logf("the end of the log of %s:\n%s", id, text[max(0, len(text)-4000):])
		}
	})
	return a
}

func (a *sidecar) home() string { return filepath.Join(a.s.dir, "home-"+a.id) }

// start starts it, and does not wait until it is ready.
func (a *sidecar) start() {
	a.s.t.Helper()
	_ = os.Remove(filepath.Join(a.home(), "gateway.json"))
	a.cmd = a.s.command(append([]string{"serve", "--data-dir", a.home(), "--api-port", "0", "--source", a.url, "--source-keys", a.s.keys, "--agent-id", a.id}, a.args...)...)
	a.cmd.Env = append(a.cmd.Env, "DEFENSECLAW_GATEWAY_TOKEN="+token)
	a.cmd.Stdout, a.cmd.Stderr = &a.output, &a.output
	if err := a.cmd.Start(); err != nil {
		a.s.t.Fatal(err)
	}
	ended := make(chan struct{})
	a.ended = ended
	cmd := a.cmd
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
}

// kill ends it as kill -9 does.
func (a *sidecar) kill() {
	_ = a.cmd.Process.Kill()
	<-a.ended
}

// get asks it. The answer is empty where there is none.
func (a *sidecar) get(path string, into any) error {
	var published struct {
		Addr string `json:"api_addr"`
	}
	text, err := os.ReadFile(filepath.Join(a.home(), "gateway.json"))
	if err == nil {
		err = json.Unmarshal(text, &published)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.s.t.Context(), testutil.Patience)
	defer cancel()
	in, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+published.Addr+path, nil)
	if err != nil {
		return err
	}
	in.Close = true
	in.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(in)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// serving is what the sidecar says of itself.
type serving struct{ State, Revision string }

// serves waits until a sidecar decides by a policy whose x is a value, and says that it serves a revision in a state.
func (a *sidecar) serves(x string, want serving) {
	a.s.t.Helper()
	var is serving
	var answer struct{ Result json.Number }
	var err error
	ok := testutil.Eventually(func() bool {
		err = errors.Join(a.get("/policy/status", &is), a.get("/v1/data/p/x", &answer))
		return err == nil && is == want && answer.Result.String() == x
	})
	if !ok {
		a.s.t.Fatalf("%s serves %+v, and %+v was expected; x is %s, and %s was expected; %v", a.id, is, want, answer.Result, x, err)
	}
}
