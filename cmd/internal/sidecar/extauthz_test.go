package sidecar_test

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
)

// shop returns a policy directory that allows requests for /in.
func shop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	replace(t, filepath.Join(dir, "p.rego"), []byte("package envoy.authz\ndefault allow := false\nallow if input.parsed_path[0] == \"in\""))
	return dir
}

// dial connects as Envoy does; nil stands for no TLS.
func dial(t *testing.T, addr string, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	creds := insecure.NewCredentials()
	if config != nil {
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// mayEnter asks for a path, with that value of the header authorization where there is one.
func mayEnter(t *testing.T, conn *grpc.ClientConn, path, authorization string) (bool, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if authorization != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization)
	}
	response, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: "GET", Path: path}},
	}})
	return response.GetOkResponse() != nil, err
}

// decides checks the answers of the policy of shop.
func decides(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	for path, want := range map[string]bool{"/in": true, "/out": false} {
		if got, err := mayEnter(t, conn, path, "Bearer "+token); err != nil || got != want {
			t.Errorf("%s: %v %v", path, got, err)
		}
	}
}

func TestEnvoyNeedsTheTokenButHealthProbesDoNot(t *testing.T) {
	_, s, _, _ := startWith(t, map[string]string{"DEFENSECLAW_POLICY_DIR": shop(t), "DEFENSECLAW_EXT_AUTHZ_ADDR": "127.0.0.1:0"})
	conn := dial(t, s.EnvoyAddr(), nil)
	decides(t, conn)
	for _, authorization := range []string{"", "Bearer x", "Bearer ", token, "Basic " + token} {
		if _, err := mayEnter(t, conn, "/in", authorization); grpcstatus.Code(err) != codes.Unauthenticated {
			t.Errorf("%q: %v", authorization, err)
		}
	}
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "envoy.service.auth.v3.Authorization"})
	if err != nil || answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("%v %v", answer, err)
	}
}

func TestEnvoyIsServedWithTheCertificatesOfHTTP(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	a := newAuthority(t)
	a.issue(t, in("tls.crt"), in("tls.key"))
	a.issue(t, in("client.crt"), in("client.key"))
	a.write(t, in("ca.crt"))
	_, s, _, _ := startWith(t, map[string]string{
		"DEFENSECLAW_POLICY_DIR": shop(t), "DEFENSECLAW_EXT_AUTHZ_ADDR": "127.0.0.1:0",
		"DEFENSECLAW_TLS_CERT": in("tls.crt"), "DEFENSECLAW_TLS_KEY": in("tls.key"), "DEFENSECLAW_CLIENT_CA": in("ca.crt"),
	})
	pair, err := tls.LoadX509KeyPair(in("client.crt"), in("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the server is not in question
	for name, config := range map[string]*tls.Config{"no TLS": nil, "no certificate": trusted} {
		if ok, err := mayEnter(t, dial(t, s.EnvoyAddr(), config), "/in", "Bearer "+token); err == nil {
			t.Errorf("%s: let in, %v", name, ok)
		}
	}
	trusted = trusted.Clone()
	trusted.Certificates = []tls.Certificate{pair}
	decides(t, dial(t, s.EnvoyAddr(), trusted))
	if _, err := mayEnter(t, dial(t, s.EnvoyAddr(), trusted), "/in", ""); grpcstatus.Code(err) != codes.Unauthenticated {
		t.Errorf("a certificate is no token: %v", err)
	}
}

func TestEnvoyReachesAUnixSocketOfItsOwner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "envoy.sock")
	replace(t, filepath.Join(dir, "config.yaml"), []byte("ext_authz:\n  addr: unix:envoy.sock\n"))
	_, s, _, _ := startWith(t, map[string]string{"DEFENSECLAW_HOME": dir, "DEFENSECLAW_POLICY_DIR": shop(t)})
	if s.EnvoyAddr() != "unix:"+path {
		t.Errorf("it listens on %s", s.EnvoyAddr())
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	conn := dial(t, s.EnvoyAddr(), nil)
	decides(t, conn)
	if _, err := mayEnter(t, conn, "/in", ""); grpcstatus.Code(err) != codes.Unauthenticated {
		t.Error(err)
	}
}

func TestTheNextCheckOfEnvoySeesAnEdit(t *testing.T) {
	dir := t.TempDir()
	replace(t, filepath.Join(dir, "p.rego"), []byte("package envoy.authz\nallow := := true"))
	_, s, _, _ := startWith(t, map[string]string{"DEFENSECLAW_POLICY_DIR": dir, "DEFENSECLAW_EXT_AUTHZ_ADDR": "127.0.0.1:0"})
	conn := dial(t, s.EnvoyAddr(), nil)
	health := func() grpc_health_v1.HealthCheckResponse_ServingStatus {
		answer, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetStatus()
	}
	if _, err := mayEnter(t, conn, "/", "Bearer "+token); grpcstatus.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	if got := health(); got != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("%s before a policy serves", got)
	}
	replace(t, filepath.Join(dir, "p.rego"), []byte("package envoy.authz\nallow := true"))
	wait(t, "the repaired policy allows", func() bool { ok, err := mayEnter(t, conn, "/", "Bearer "+token); return err == nil && ok })
	wait(t, "the health follows", func() bool { return health() == grpc_health_v1.HealthCheckResponse_SERVING })
	replace(t, filepath.Join(dir, "p.rego"), []byte("package envoy.authz\nallow := false"))
	wait(t, "the edit denies", func() bool { ok, err := mayEnter(t, conn, "/", "Bearer "+token); return err == nil && !ok })
}

func TestAnUnusableAddressForEnvoyIsRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"DEFENSECLAW_EXT_AUTHZ_ADDR": taken.Addr().String()}, "listen on " + taken.Addr().String() + ": address already in use"},
		{map[string]string{"DEFENSECLAW_EXT_AUTHZ_ADDR": "0.0.0.0:0"}, "--ext-authz-addr 0.0.0.0:0 is not a loopback address: set DEFENSECLAW_GATEWAY_TOKEN before it is opened to others"},
		{map[string]string{"DEFENSECLAW_EXT_AUTHZ_ADDR": ":0"}, "is not a loopback address"},
		{map[string]string{"DEFENSECLAW_EXT_AUTHZ_ADDR": "9191"}, `DEFENSECLAW_EXT_AUTHZ_ADDR is "9191": HOST:PORT or unix:PATH was expected`},
		{map[string]string{"DEFENSECLAW_EXT_AUTHZ_ADDR": "localhost:http"}, "HOST:PORT or unix:PATH was expected"},
		{map[string]string{"DEFENSECLAW_EXT_AUTHZ_ADDR": "unix:"}, "HOST:PORT or unix:PATH was expected"},
		{map[string]string{"DEFENSECLAW_EXT_AUTHZ_ADDR": "unix:/no/such/sock"}, "listen on /no/such/sock: no such file or directory"},
		{map[string]string{"DEFENSECLAW_EXT_AUTHZ_PATH": "/"}, `DEFENSECLAW_EXT_AUTHZ_PATH is "/": a path such as envoy/authz/allow was expected`},
	} {
		if err := refused(t, tt.env, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v; want %q", tt.env, err, tt.want)
		}
	}
	only := map[string]string{"validate-only": "true"}
	if err := refused(t, map[string]string{"DEFENSECLAW_EXT_AUTHZ_ADDR": "127.0.0.1:0"}, only); err == nil || !strings.Contains(err.Error(), "--validate-only makes none") {
		t.Error(err)
	}
}

// refused is why a sidecar with these settings, and no token set, does not start.
func refused(t *testing.T, environment, flags map[string]string) error {
	t.Helper()
	environment["DEFENSECLAW_HOME"], environment["DEFENSECLAW_API_PORT"] = t.TempDir(), "0"
	getenv := func(name string) string { return environment[name] }
	set, err := settings.Resolve(func(name string) (string, bool) { v, ok := flags[name]; return v, ok }, getenv)
	if err != nil {
		return err
	}
	_, err = sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()})
	return err
}

// TestALeavingSidecarStillDecidesForEnvoy while gRPC's health protocol sends Envoy's new calls elsewhere.
func TestALeavingSidecarStillDecidesForEnvoy(t *testing.T) {
	leaving := make(chan struct{})
	_, s, _, _ := startUntilLeaving(t, map[string]string{
		"DEFENSECLAW_POLICY_DIR": shop(t), "DEFENSECLAW_EXT_AUTHZ_ADDR": "127.0.0.1:0", "DEFENSECLAW_SHUTDOWN_DELAY": "1h",
	}, leaving)
	conn := dial(t, s.EnvoyAddr(), nil)
	health := func() grpc_health_v1.HealthCheckResponse_ServingStatus {
		answer, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetStatus()
	}
	if got := health(); got != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatal(got)
	}
	close(leaving)
	wait(t, "the health says so", func() bool { return health() == grpc_health_v1.HealthCheckResponse_NOT_SERVING })
	decides(t, conn)
}
