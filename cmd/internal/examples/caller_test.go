package examples_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// callers are the commands of the example, by language.
func callers(t *testing.T) map[string]func(t *testing.T) []string {
	t.Helper()
	dir, err := filepath.Abs(root + "caller")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "ask")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin, ".")
	build.Dir = filepath.Join(dir, "go") // a module of its own
	if out := run(t, build); out.code != 0 {
		t.Fatal(out)
	}
	return map[string]func(*testing.T) []string{
		"Go":     func(*testing.T) []string { return []string{bin} },
		"Node":   func(t *testing.T) []string { return []string{needs(t, "node"), dir + "/node/ask.mjs"} },
		"Python": func(t *testing.T) []string { return []string{needs(t, "python3"), dir + "/python/ask.py"} },
	}
}

// question runs a caller with a path and an input.
func question(t *testing.T, caller []string, env []string, path, input string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), caller[0], append(caller[1:len(caller):len(caller)], path, input)...)
	cmd.Env = append(environment(), env...)
	return run(t, cmd)
}

// A caller allows what the policy allows, and nothing else.
func TestCallersAskTheSidecar(t *testing.T) {
	byToken := start(t, root+"caller/policy", "--local-socket=false")
	bySocket := start(t, root+"caller/policy")
	host, port, err := net.SplitHostPort(byToken.addr)
	if err != nil {
		t.Fatal(err)
	}
	const clerk, path = `{"role": "clerk", "amount": %d}`, "orders/allow"
	tests := []struct {
		name, path, input string
		env               []string
		code              int
		says              string
	}{
		{"allowed", path, fmt.Sprintf(clerk, 40), nil, 0, ""},
		{"denied", path, fmt.Sprintf(clerk, 101), nil, 1, ""},
		{"undefined", path, `{"role": "clerk"}`, nil, 1, ""},
		{"an unknown role", path, `{"role": "root\"}", "amount": 1}`, nil, 1, ""},
		{"a path where nothing is", "orders/nothing", `{}`, nil, 1, ""},
		{"a path that is no boolean", "orders/limits", `{}`, nil, 2, "neither true nor false"},
		{"a path with parts of a URL", "orders/allow?x=1#", fmt.Sprintf(clerk, 40), nil, 1, ""},
		{"an input that is no JSON", path, `{`, nil, 2, "not decided"},
		{"a wrong token", path, fmt.Sprintf(clerk, 40), []string{"DEFENSECLAW_GATEWAY_TOKEN=0123456789abcdef0123456789abcdef"}, 2, "401"},
		{"an input that is too large", path, `{"role": "clerk", "amount": 40, "x": "` + strings.Repeat("x", 100_000) + `"}`, nil, 0, ""},
	}
	for language, caller := range callers(t) {
		t.Run(language, func(t *testing.T) {
			command := caller(t)
			for way, env := range map[string][]string{
				"over the socket":          {"DEFENSECLAW_HOME=" + bySocket.home},
				"by gateway.json and .env": {"DEFENSECLAW_HOME=" + byToken.home},
				"by the environment":       {"DEFENSECLAW_HOME=" + byToken.home, "DEFENSECLAW_API_BIND=" + host, "DEFENSECLAW_API_PORT=" + port},
				"at a socket that it names": {"DEFENSECLAW_HOME=" + t.TempDir(),
					"DEFENSECLAW_API_SOCKET=" + filepath.Join(bySocket.home, "sidecar.sock")},
			} {
				for _, tt := range tests {
					out := question(t, command, append(env, tt.env...), tt.path, tt.input)
					want := "deny\n"
					if tt.code == 0 {
						want = "allow\n"
					}
					if out.code != tt.code || out.stdout != want || !strings.Contains(out.stderr, tt.says) {
						t.Errorf("%s, %s: %v", way, tt.name, out)
					}
				}
			}
		})
	}
}

// A caller denies where nobody decides, whatever answers in the sidecar's place.
func TestCallersDenyWhereNobodyDecides(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"503": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"code":"no_policy","message":"no policy loaded","result":true}`)
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `true`+strings.Repeat("x", 2<<20)) },
		"a cut answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			fmt.Fprint(w, `{"result":true}`)
		},
		"the text true": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"result":"true"}`) },
		"the number 1":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"result":1}`) },
		"a list":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[true]`) },
		"no answer": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the caller is gone
			<-r.Context().Done()
		},
	}
	commands := callers(t)
	deny := func(t *testing.T, what string, env ...string) {
		t.Helper()
		for language, caller := range commands {
			t.Run(language+" "+what, func(t *testing.T) {
				out := question(t, caller(t), env, "orders/allow", `{"role": "clerk", "amount": 40}`)
				if out.code != 2 || out.stdout != "deny\n" || !strings.Contains(out.stderr, "not decided: ") {
					t.Error(out)
				}
			})
		}
	}
	for what, answer := range answers {
		server := httptest.NewServer(answer)
		home := t.TempDir()
		write(t, filepath.Join(home, "gateway.json"), fmt.Sprintf(`{"api_addr": %q}`, server.Listener.Addr()))
		deny(t, what, "DEFENSECLAW_HOME="+home, "DEFENSECLAW_GATEWAY_TOKEN=t")
		server.Close()
	}
	home := t.TempDir()
	write(t, filepath.Join(home, "gateway.json"), `{"api_addr": "127.0.0.1:1"}`)
	deny(t, "nobody listens", "DEFENSECLAW_HOME="+home, "DEFENSECLAW_GATEWAY_TOKEN=t")
	deny(t, "no token", "DEFENSECLAW_HOME="+home)
	deny(t, "no data directory", "DEFENSECLAW_HOME="+filepath.Join(t.TempDir(), "none"))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
