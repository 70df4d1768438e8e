package besideopa_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/cmd/internal/testutil"

	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/discovery"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"go.uber.org/zap"
)

// bundleServer serves both, and knows them apart by their tokens. It answers late where there is no news.
type bundleServer struct {
	*httptest.Server
	longPoll bool

	mu      sync.Mutex
	news    chan struct{} // closed at the next publication
	bundles map[string]published
	sent    map[string]int // versions, by who asks and path
	asked   map[string]int // requests without news
}

func newBundleServer(t *testing.T) *bundleServer {
	t.Helper()
	s := &bundleServer{news: make(chan struct{}), bundles: map[string]published{}, sent: map[string]int{}, asked: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *bundleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		return // of the status
	}
	who := r.Header.Get("X-Who") + r.URL.Path
	patience := 5 * time.Millisecond // so that nobody asks without a pause
	if s.longPoll && strings.Contains(r.Header.Get("Prefer"), "wait=") {
		patience = time.Minute
	}
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		b, ok := s.bundles[r.URL.Path]
		news := s.news
		fresh := ok && r.Header.Get("If-None-Match") != b.etag
		if fresh {
			s.sent[who]++
		}
		s.mu.Unlock()
		if s.longPoll {
			w.Header().Set("Content-Type", "application/vnd.openpolicyagent.bundles")
		}
		if fresh {
			w.Header().Set("ETag", b.etag)
			_, _ = w.Write(b.archive)
			return
		}
		select {
		case <-news:
			continue
		case <-r.Context().Done():
			return
		case <-deadline:
		}
		s.mu.Lock()
		s.asked[who]++
		s.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", b.etag)
		w.WriteHeader(http.StatusNotModified)
		return
	}
}

// put publishes a bundle; nil takes it away.
func (s *bundleServer) put(name, etag string, archive []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bundles["/bundles/"+name] = (published{etag, archive}); archive == nil {
		delete(s.bundles, "/bundles/"+name)
	}
	close(s.news)
	s.news = make(chan struct{})
}

func (s *bundleServer) count(of map[string]int, who, name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return of[who+"/bundles/"+name]
}

// one is a program that answers as OPA does.
type one struct{ url, token string }

func (o one) ask(t *testing.T, path, input string) string {
	t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if input != "" {
		method, body = http.MethodPost, bytes.NewReader([]byte(input))
	}
	r, err := http.NewRequestWithContext(t.Context(), method, o.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+o.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var v struct {
		Result any `json:"result"`
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(text, &v) // an answer without a result has none
	result, err := json.Marshal(v.Result)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(answer.StatusCode, " ", string(result))
}

// bundles is what GET /v1/status says of the bundles: name, revision that serves, and whether something is wrong.
func (o one) bundles(t *testing.T) string {
	t.Helper()
	_, text, _ := strings.Cut(o.ask(t, "/v1/status", ""), " ")
	var status struct {
		Bundles map[string]struct {
			Active string      `json:"active_revision"`
			Code   string      `json:"code"`
			HTTP   json.Number `json:"http_code"`
		}
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return err.Error()
	}
	all := map[string]string{}
	for name, b := range status.Bundles {
		all[name] = fmt.Sprint(b.Active, " ", b.Code, b.HTTP)
	}
	text2, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text2)
}

// stock is what opa run --server -c makes of a configuration: the plugin manager with the discovery plugin, which starts
// the others, and the server. With TEST_OPA, it is that program.
func stock(t *testing.T, config string) one {
	t.Helper()
	if program := os.Getenv("TEST_OPA"); program != "" {
		return stockProgram(t, program, config)
	}
	manager, err := plugins.New([]byte(config), "stock", inmem.New(), plugins.Logger(logging.NewNoOpLogger()), plugins.ConsoleLogger(logging.NewNoOpLogger()))
	if err != nil {
		t.Fatal(err)
	}
	disco, err := discovery.New(manager)
	if err != nil {
		t.Fatal(err)
	}
	manager.Register(discovery.Name, disco)
	ctx, cancel := context.WithCancel(context.Background())
	if err := manager.Init(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := server.New().WithStore(manager.Store).WithManager(manager).WithAddresses([]string{"127.0.0.1:0"}).Init(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.Start(ctx); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler)
	t.Cleanup(func() {
		web.Close()
		manager.Stop(ctx)
		cancel()
	})
	return one{url: web.URL}
}

func stockProgram(t *testing.T, program, config string) one {
	t.Helper()
	file := filepath.Join(t.TempDir(), "opa.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, "run", "--server", "--disable-telemetry", "-c", file, "--addr", addr) //nolint:gosec // the tester's
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	eventually(t, "opa listens", func() bool {
		c, err := net.Dial("tcp", addr)
		return err == nil && c.Close() == nil
	})
	return one{url: "http://" + addr}
}

// ours is a sidecar with a configuration.
func ours(t *testing.T, config string) one {
	t.Helper()
	file := filepath.Join(t.TempDir(), "opa.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	const token = "a-token-that-is-long-enough-to-be-one"
	environment := map[string]string{
		"DEFENSECLAW_HOME": t.TempDir(), "DEFENSECLAW_API_PORT": "0", "DEFENSECLAW_GATEWAY_TOKEN": token, "DEFENSECLAW_OPA_CONFIG": file,
	}
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
	if err != nil {
		t.Fatal(err)
	}
	s, err := sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	endpoint, err := set.Endpoint()
	if err != nil {
		t.Fatal(err)
	}
	return one{url: "http://" + endpoint.Addr, token: token}
}

func bothOf(t *testing.T, web *bundleServer, config string) (mine, theirs one) {
	t.Helper()
	return ours(t, fmt.Sprintf(config, web.URL, "ours")), stock(t, fmt.Sprintf(config, web.URL, "theirs"))
}

// agree waits until both say the same of their bundles, and compares what they answer.
func agree(t *testing.T, what, want string, mine, theirs one, questions []string) {
	t.Helper()
	for name, o := range map[string]one{"ours": mine, "opa": theirs} {
		if !testutil.Eventually(func() bool { return o.bundles(t) == want }) {
			t.Fatalf("%s: %s says %s; %s was expected", what, name, o.bundles(t), want)
		}
	}
	for _, question := range questions {
		path, input, _ := strings.Cut(question, " ")
		if a, b := mine.ask(t, path, input), theirs.ask(t, path, input); a != b {
			t.Errorf("%s: %s: %s; opa answers %s", what, question, a, b)
		}
	}
}
