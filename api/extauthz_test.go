package api_test

import (
	"context"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/gate"
	"defenseclaw/engine"
	"defenseclaw/policies"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// farListener has its callers call from far away.
type farListener struct{ net.Listener }

func (l farListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return farConn{conn}, err
}

type farConn struct{ net.Conn }

func (farConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 1000}
}

// runUntilEnd runs something that ends with a context, to the end of the test.
func runUntilEnd(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestGuessingTokensAsEnvoyIsSlowedDownAndRecorded(t *testing.T) {
	log, err := audit.New(audit.Config{Path: filepath.Join(t.TempDir(), "audit.db")})
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, log.Run)
	tokens := &named{}
	tokens.set("reader", gate.Token{Name: "reader-1", Scopes: gate.ScopeRead | gate.ScopeQuery | gate.ScopeChange})
	tokens.set("app", gate.Token{Name: "app-1", Scopes: gate.ScopeDecide})
	server, err := api.New(api.Config{Source: func() (fs.FS, error) { return policies.FS(), nil }, Token: "t", BindHost: "0.0.0.0", RequestsPerSecond: 1, Audit: log, FindToken: tokens.find})
	if err != nil {
		t.Fatal(err)
	}
	envoy, err := server.ExtAuthz(engine.Path{"envoy", "authz", "allow"}, false)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, func(ctx context.Context) error { return envoy.Run(ctx, farListener{listener}) })
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	check := func(token string) codes.Code {
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token), time.Minute)
		defer cancel()
		_, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{})
		return status.Code(err)
	}
	if got := check("wrong"); got != codes.Unauthenticated {
		t.Errorf("a wrong token: %s", got)
	}
	if got := check("reader"); got != codes.PermissionDenied {
		t.Errorf("a token that is not for decisions: %s", got)
	}
	if got := check("app"); got != codes.Unavailable { // no policy: it got that far
		t.Errorf("a token for decisions: %s", got)
	}
	for deadline := time.Now().Add(time.Minute); check("wrong") != codes.ResourceExhausted; {
		if time.Now().After(deadline) {
			t.Fatal("who guesses is not slowed down")
		}
	}
	for i := range 50 { // one proxy asks for many: it has no share
		if got := check("t"); got != codes.Unavailable { // no policy: it got that far
			t.Fatalf("call %d with the token: %s", i, got)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		records, err := log.Query(t.Context(), audit.Filter{Action: audit.ActionAuthRefused})
		if len(records) > 0 {
			if r := records[len(records)-1]; r.Actor != "203.0.113.7" || !strings.HasSuffix(r.Target, "/envoy.service.auth.v3.Authorization/Check") {
				t.Errorf("%+v", r)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is not on record: %v", err)
		}
	}
}
