package extauthz_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/api/extauthz"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
)

// server is a real one on a real listener over a real engine; files may be edited between calls.
type server struct {
	t      testing.TB
	engine *engine.Engine
	files  fstest.MapFS
	conn   *grpc.ClientConn
	logged *observer.ObservedLogs

	envoy *extauthz.Server
	stop  func() error // ends the server, not the engine
}

// start serves modules and data of package envoy.authz and others.
func start(t testing.TB, files map[string]string, change func(*extauthz.Config, *engine.Config)) *server {
	t.Helper()
	s := &server{t: t, files: fstest.MapFS{}}
	s.write(files)
	core, logged := observer.New(zap.DebugLevel)
	s.logged = logged
	engineConfig := engine.Config{Source: func() (fs.FS, error) { return s.files, nil }}
	config := extauthz.Config{
		Policy: engine.Path{"envoy", "authz", "allow"},
		Admit:  func(r *http.Request) (context.Context, error) { return r.Context(), nil },
		Begin: func(ctx context.Context, _ *engine.Generation, _ decision.Question) (context.Context, func(decision.Answer)) {
			return ctx, func(decision.Answer) {}
		},
		Serving: func() (*engine.Generation, error) {
			if g := s.engine.Current(); g != nil {
				return g, nil
			}
			return nil, decision.ErrNoPolicy
		},
		Logger: zap.New(core),
	}
	if change != nil {
		change(&config, &engineConfig)
	}
	s.engine = enginetest.New(t, engineConfig)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.engine.Run(ctx) }()
	s.reload()
	s.serve(config)
	t.Cleanup(func() {
		err := errors.Join(s.conn.Close(), s.stop())
		cancel()
		if err = errors.Join(err, <-ran); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) serve(config extauthz.Config) {
	s.t.Helper()
	var err error
	if s.envoy, err = extauthz.New(config); err != nil {
		s.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.envoy.Run(ctx, listener) }()
	s.stop = func() error { cancel(); err := <-ran; ran <- nil; return err }
	s.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) write(files map[string]string) {
	for name, text := range files {
		s.files[name] = &fstest.MapFile{Data: []byte(text), ModTime: time.Now()}
	}
}

// reload takes over what was written. A refusal is no failure of the test: some begin with one.
func (s *server) reload() {
	s.t.Helper()
	_, err := s.engine.Reload(s.t.Context(), engine.Trigger{Kind: engine.TriggerAPI})
	if err != nil && !errors.As(err, new(*engine.Refused)) {
		s.t.Fatal(err)
	}
}

// request is a CheckRequest whose attributes are given as JSON.
func request(t testing.TB, attributes string) *authv3.CheckRequest {
	t.Helper()
	r := &authv3.CheckRequest{}
	if err := protojson.Unmarshal([]byte(`{"attributes":`+attributes+`}`), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// get is a request of a page with that path.
func get(path string) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Id: "17", Method: "GET", Host: "shop.example", Path: path},
	}}}
}

func (s *server) check(r *authv3.CheckRequest, options ...grpc.CallOption) (*authv3.CheckResponse, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(s.t.Context(), "authorization", "Bearer t"), patience)
	defer cancel()
	return authv3.NewAuthorizationClient(s.conn).Check(ctx, r, options...)
}

// answer is the response to a call that must have one, as JSON without blanks; the decision's id is cut out.
func (s *server) answer(r *authv3.CheckRequest) string {
	s.t.Helper()
	response, err := s.check(r)
	if err != nil {
		s.t.Fatal(err)
	}
	delete(response.GetDynamicMetadata().GetFields(), "decision_id")
	return text(s.t, response)
}
