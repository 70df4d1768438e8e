package sidecar_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"
)

// answered is the status and the body of an answer.
func answered(t *testing.T, s *sidecar.Sidecar, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-DefenseClaw-Client", "test")
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// decisionsByHTTP ask for the same decision on each kind of route.
var decisionsByHTTP = map[string][2]string{
	"/v1/data/p/x": {"POST", `{}`}, "/v1/data/p": {"GET", ""}, "/v1/query": {"POST", `{"query": "data.p.x"}`},
	"/access/v1/evaluation": {"POST", `{"subject":{"type":"user","id":"a"},"action":{"name":"x"},"resource":{"type":"y","id":"1"}}`},
}

// stands checks what a sidecar answers on every route.
func stands(t *testing.T, s *sidecar.Sidecar, conn *grpc.ClientConn, decides, ready bool) {
	t.Helper()
	for path, how := range decisionsByHTTP {
		status, body := answered(t, s, how[0], path, how[1])
		if decides != (status == http.StatusOK) || !decides && (status != http.StatusServiceUnavailable || !strings.Contains(body, "source.stale")) {
			t.Errorf("%s %s: %d %s", how[0], path, status, body)
		}
		if !decides && strings.HasPrefix(path, "/v1") && !strings.Contains(body, `"policy_source_stale"`) {
			t.Errorf("%s: %s", path, body)
		}
	}
	for path, failed := range map[string]int{"/health/ready": http.StatusServiceUnavailable, "/health?bundles": http.StatusInternalServerError} {
		if status, body := answered(t, s, "GET", path, ""); ready != (status == http.StatusOK) || !ready && status != failed {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := answered(t, s, "GET", "/health", ""); status != http.StatusOK {
		t.Errorf("/health: %d %s", status, body)
	}
	allowed, err := mayEnter(t, conn, "/in", "Bearer "+token)
	if decides != allowed || !decides && grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("Envoy: %v, %v", allowed, err)
	}
	health, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || ready != (health.Status == grpc_health_v1.HealthCheckResponse_SERVING) {
		t.Errorf("gRPC health: %v, %v", health, err)
	}
}

func staleNow(t *testing.T, set settings.Settings) bool {
	t.Helper()
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.Status(t.Context())
	if err != nil || s.Source.Stale == nil {
		t.Fatal(err, s.Source)
	}
	return s.Source.Stale.Now
}

func TestAStaleSource(t *testing.T) {
	for action, want := range map[string]struct{ decides, ready bool }{
		"serve": {true, true}, "unready": {true, false}, "refuse": {false, false},
	} {
		t.Run(action, func(t *testing.T) {
			h, home, creds := newHarbor(t), t.TempDir(), filepath.Join(t.TempDir(), "creds")
			if err := os.WriteFile(creds, []byte("ann:ses:ame"), 0o600); err != nil {
				t.Fatal(err)
			}
			h.push(t, "v1", file("p.rego", "package p\n\nx := 1"), file("e.rego", "package envoy.authz\n\nallow := true"), file("a.rego", "package authzen\n\nallow := true"))
			environment := map[string]string{
				"DEFENSECLAW_HOME": home, "DEFENSECLAW_SOURCE": "oci://" + h.host() + "/team/authz:v1", "DEFENSECLAW_SOURCE_CREDS": creds,
				"DEFENSECLAW_SOURCE_STALE": "3s", "DEFENSECLAW_STALE_ACTION": action, "DEFENSECLAW_EXT_AUTHZ_ADDR": "127.0.0.1:0",
			}
			t.Run("contact is lost, and there again", func(t *testing.T) {
				set, s, logged, _ := startWith(t, environment)
				conn := dial(t, s.EnvoyAddr(), nil)
				if staleNow(t, set) {
					t.Fatal("stale at the start")
				}
				stands(t, s, conn, true, true)
				h.down.Store(true)
				eventually(t, "stale", func() bool { return staleNow(t, set) })
				stands(t, s, conn, want.decides, want.ready)
				if _, metrics := answered(t, s, "GET", "/metrics", ""); !strings.Contains(metrics, "defenseclaw_source_stale 1\n") || !strings.Contains(metrics, "defenseclaw_source_age_seconds ") {
					t.Error("the metrics do not say so")
				}
				h.down.Store(false)
				eventually(t, "fresh", func() bool { return !staleNow(t, set) })
				stands(t, s, conn, true, true)
				tells(t, set, "source-stale", "source-fresh") // last of all
				if n := logged.FilterMessageSnippet("the source has not answered for 3").Len(); n != 1 || logged.FilterMessage("the source answers").Len() != 1 {
					t.Error(n, logged.All())
				}
				h.down.Store(true)
			})
			t.Run("there is none since the start", func(t *testing.T) {
				set, s, _, _ := startWith(t, environment)
				conn := dial(t, s.EnvoyAddr(), nil)
				if !staleNow(t, set) {
					t.Error("nobody knows how old what was kept is")
				}
				stands(t, s, conn, want.decides, want.ready)
				h.down.Store(false)
				client, err := clientOf(set)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := client.Reload(t.Context()); err != nil || staleNow(t, set) {
					t.Error("a reload that is asked for is contact", err)
				}
				stands(t, s, conn, true, true)
			})
		})
	}
}

// tells wants records of these actions, which follow the events.
func tells(t *testing.T, set settings.Settings, actions ...string) {
	t.Helper()
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range actions {
		eventually(t, action+" is on record", func() bool {
			found, err := client.Records(context.Background(), audit.Filter{Action: action})
			return err == nil && len(found.Records) == 1 && strings.HasPrefix(found.Records[0].Actor, "source: oci://")
		})
	}
}

func TestWhatIsSaidOfAStaleSourceFitsTogether(t *testing.T) {
	for text, environment := range map[string]map[string]string{
		"policy comes from no source":                       {"DEFENSECLAW_SOURCE_STALE": "5s"},
		"does not say when a source is stale":               {"DEFENSECLAW_STALE_ACTION": "refuse", "DEFENSECLAW_SOURCE": "https://x.example.com/b.tar.gz"},
		"serve, unready or refuse":                          {"DEFENSECLAW_STALE_ACTION": "stop", "DEFENSECLAW_SOURCE": "https://x.example.com/b.tar.gz"},
		"oci://REGISTRY/REPOSITORY:TAG or":                  {"DEFENSECLAW_SOURCE": "oci://x.example.com/b"},
		"a directory, https://…, http://…, oci://… or nats": {"DEFENSECLAW_SOURCE": "ftp://x.example.com/b"},
	} {
		environment["DEFENSECLAW_HOME"] = t.TempDir()
		_, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v; want %s", err, text)
		}
	}
	environment := map[string]string{"DEFENSECLAW_HOME": t.TempDir(), "DEFENSECLAW_SOURCE": "https://x.example.com/b.tar.gz", "DEFENSECLAW_SOURCE_STALE": "5s"}
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
	if err != nil || set.Source.Poll != set.Source.Stale.After/2 {
		t.Errorf("%v; it is asked every %s", err, set.Source.Poll)
	}
}
