package extauthz_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"defenseclaw/api/extauthz"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// text is a message as JSON, the same each time.
func text(t testing.TB, m proto.Message) string {
	t.Helper()
	raw, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return compact(t, raw)
}

func compact(t testing.TB, raw []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// policy is one whose answer the path of the request chooses.
const policy = `package envoy.authz

allow := answers[input.parsed_path[0]]

answers["yes"] := true
answers["no"] := false
answers["ok"] := {
	"allowed": true,
	"headers": {"x-user": "alice", "x-role": ["reader", "writer"]},
	"response_headers_to_add": [{"x-policy": "shop"}, {"X-Policy": "envoy"}],
	"request_headers_to_remove": ["authorization"],
	"query_parameters_to_set": {"tenant": "a", "tag": ["x", "y"]},
	"query_parameters_to_remove": ["debug"],
	"dynamic_metadata": {"n": 1, "list": [true, null]},
	"body": "not of an allowed request",
}
answers["login"] := {
	"allowed": false,
	"headers": {"location": "/login", "set-cookie": ["a=1", "b=2"]},
	"body": "log in first",
	"http_status": 302,
	"dynamic_metadata": {"why": "no session"},
}
answers["bare"] := {"allowed": false}
answers["fails"] := {"allowed": 1 / input.truncated_body_is_never_there == 1}
answers["divides"] := {"allowed": 1 / count(input.parsed_query) == 1}

answers["explodes"] := count([1 |
	some i in numbers.range(1, 20000)
	some j in numbers.range(1, 20000)
	i * j == input.never
]) == 0 if input.parsed_path[0] == "explodes"

answers["number"] := 1
answers["silent"] := {"reason": "none"}
answers["allowed-text"] := {"allowed": "true"}
answers["status-text"] := {"allowed": false, "http_status": "403"}
answers["status-none"] := {"allowed": false, "http_status": 299}
answers["status-empty"] := {"allowed": false, "http_status": 0}
answers["status-huge"] := {"allowed": false, "http_status": 4294967699}
answers["status-half"] := {"allowed": false, "http_status": 403.5}
answers["body-number"] := {"allowed": false, "body": 1}
answers["headers-text"] := {"allowed": true, "headers": "x"}
answers["headers-number"] := {"allowed": false, "headers": {"x": 1}}
answers["headers-list"] := {"allowed": false, "headers": [{"x": ["1", 2]}]}
answers["add-text"] := {"allowed": true, "response_headers_to_add": ["x"]}
answers["remove-text"] := {"allowed": true, "request_headers_to_remove": "x"}
answers["remove-number"] := {"allowed": true, "query_parameters_to_remove": [1]}
answers["set-list"] := {"allowed": true, "query_parameters_to_set": ["x"]}
answers["metadata-list"] := {"allowed": true, "dynamic_metadata": []}
answers["not-utf8"] := {"allowed": true, "headers": {"x": base64.decode("/w==")}}
`

func TestADecisionIsAnsweredAsEnvoyReadsIt(t *testing.T) {
	s := start(t, map[string]string{"p.rego": policy}, nil)
	for path, want := range map[string]string{
		"/yes":  `{"status":{},"okResponse":{},"dynamicMetadata":{}}`,
		"/no":   `{"status":{"code":7},"deniedResponse":{"status":{"code":"Forbidden"}},"dynamicMetadata":{}}`,
		"/bare": `{"status":{"code":7},"deniedResponse":{"status":{"code":"Forbidden"}},"dynamicMetadata":{}}`,
		"/ok": `{"status":{},"okResponse":{` +
			`"headers":[{"header":{"key":"x-role","value":"reader"},"append":false},{"header":{"key":"x-role","value":"writer"},"append":true},{"header":{"key":"x-user","value":"alice"},"append":false}],` +
			`"headersToRemove":["authorization"],` +
			`"responseHeadersToAdd":[{"header":{"key":"x-policy","value":"shop"}},{"header":{"key":"X-Policy","value":"envoy"}}],` +
			`"queryParametersToSet":[{"key":"tag","value":"x"},{"key":"tag","value":"y"},{"key":"tenant","value":"a"}],` +
			`"queryParametersToRemove":["debug"]},"dynamicMetadata":{"list":[true,null],"n":1}}`,
		"/login": `{"status":{"code":7},"deniedResponse":{"status":{"code":"Found"},` +
			`"headers":[{"header":{"key":"location","value":"/login"},"append":false},{"header":{"key":"set-cookie","value":"a=1"},"append":false},{"header":{"key":"set-cookie","value":"b=2"}}],` +
			`"body":"log in first"},"dynamicMetadata":{"why":"no session"}}`,
	} {
		if got := s.answer(get(path)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", path, got, want)
		}
	}
}

func TestAFailedDecisionIsAnErrorOfTheCall(t *testing.T) {
	s := start(t, map[string]string{"p.rego": policy}, nil)
	for path, want := range map[string]string{
		"/nothing":        "data.envoy.authz.allow is undefined",
		"/fails":          "data.envoy.authz.allow is undefined",
		"/divides":        "divide by zero",
		"/number":         "data.envoy.authz.allow is neither a boolean nor an object with allowed",
		"/silent":         "data.envoy.authz.allow is an object whose allowed is not a boolean",
		"/allowed-text":   "allowed is not a boolean",
		"/status-text":    "data.envoy.authz.allow: http_status is string; a number was expected",
		"/status-none":    "http_status is 299, which is not an HTTP status",
		"/status-empty":   "http_status is 0, which is not an HTTP status",
		"/status-huge":    "http_status is 4294967699, which is not an HTTP status",
		"/status-half":    "http_status is 403.5, which is not an HTTP status",
		"/body-number":    "body is number; a string was expected",
		"/headers-text":   "headers: string where an object was expected",
		"/headers-number": "headers: x: number where a string was expected",
		"/headers-list":   "headers: x: number where a string was expected",
		"/add-text":       "response_headers_to_add: string where an object was expected",
		"/remove-text":    "request_headers_to_remove is not an array of strings",
		"/remove-number":  "query_parameters_to_remove is not an array of strings",
		"/set-list":       "query_parameters_to_set: array where an object was expected",
		"/metadata-list":  "dynamic_metadata is array; an object was expected",
	} {
		response, err := s.check(get(path))
		if status.Code(err) != codes.Unknown || !strings.Contains(status.Convert(err).Message(), want) {
			t.Errorf("%s: %v %v; want %s", path, response, err, want)
		}
		if s.logged.FilterMessage("a decision for Envoy could not be made").FilterFieldKey("decision_id").Len() == 0 {
			t.Errorf("%s: the log does not say why", path)
		}
		s.logged.TakeAll()
	}
	if _, err := s.check(get("/not-utf8")); err == nil {
		t.Error("a header that is no text is no error")
	}
}

func TestAnEmptySidecarIsUnavailableUntilAPolicyServes(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := := 1"}, nil)
	health := grpc_health_v1.NewHealthClient(s.conn)
	watch, err := health.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "envoy.service.auth.v3.Authorization"})
	if err != nil {
		t.Fatal(err)
	}
	expectHealth := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if got, err := watch.Recv(); err != nil || got.GetStatus() != want {
			t.Fatalf("%v %v; want %s", got, err, want)
		}
		if got, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil || got.GetStatus() != want {
			t.Errorf("%v %v; want %s", got, err, want)
		}
	}
	expectHealth(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	if _, err := s.check(get("/yes")); status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "no policy loaded" {
		t.Error(err)
	}
	s.write(map[string]string{"p.rego": policy})
	s.reload()
	s.envoy.TellHealth()
	expectHealth(grpc_health_v1.HealthCheckResponse_SERVING)
	if got := s.answer(get("/yes")); !strings.Contains(got, "okResponse") {
		t.Error(got)
	}
	// A stream that watches gets the change, and does not delay the end.
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got, err := watch.Recv(); err == nil && got.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("%v", got)
	}
}

func TestTheNextCheckSeesAReload(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package envoy.authz\nallow := false"}, nil)
	named := func() (id, generation, revision string, allowed bool) {
		t.Helper()
		var header metadata.MD
		response, err := s.check(get("/"), grpc.Header(&header))
		if err != nil {
			t.Fatal(err)
		}
		id = response.GetDynamicMetadata().GetFields()["decision_id"].GetStringValue()
		return id, strings.Join(header["x-defenseclaw-generation"], ","), strings.Join(header["x-defenseclaw-revision"], ","), response.GetOkResponse() != nil
	}
	for n, want := range []bool{false, true} {
		id, generation, revision, allowed := named()
		again, _, _, _ := named()
		g := s.engine.Current()
		if allowed != want || g.Number() != uint64(n+1) || revision != g.Revision() || generation != string(rune('1'+n)) {
			t.Errorf("generation %s, revision %s, allowed %v", generation, revision, allowed)
		}
		if _, hash, _ := strings.Cut(revision, ":"); !strings.HasSuffix(id, "."+generation+"."+hash[:12]) || id == again {
			t.Errorf("decision_id %s, then %s", id, again)
		}
		s.write(map[string]string{"p.rego": "package envoy.authz\nallow := true"})
		s.reload()
	}
}

func TestADryRunAllowsAllAndLogsDenials(t *testing.T) {
	type outcome struct {
		defined bool
		err     error
	}
	decisions := make(chan outcome, 1)
	s := start(t, map[string]string{"p.rego": policy}, func(c *extauthz.Config, _ *engine.Config) {
		c.DryRun = true
		c.Begin = func(ctx context.Context, _ *engine.Generation, _ decision.Question) (context.Context, func(decision.Answer)) {
			return ctx, func(a decision.Answer) { decisions <- outcome{a.Defined, a.Err} }
		}
	})
	const allowed = `{"status":{},"okResponse":{}`
	for _, c := range []struct{ path, answer, logged, detail string }{
		{"/yes?secret=1", allowed + `,"dynamicMetadata":{}}`, "", ""},
		{"/login?secret=1", allowed + `,"dynamicMetadata":{"why":"no session"}}`, "dry run: a request would have been denied", "log in first"},
		{"/divides", allowed + `}`, "dry run: a request would have been answered by an error", "divide by zero"},
		{"/nothing", allowed + `}`, "dry run: a request would have been answered by an error", "undefined"},
	} {
		s.logged.TakeAll()
		if got := s.answer(get(c.path)); got != c.answer {
			t.Errorf("%s: %s", c.path, got)
		}
		if d := <-decisions; d.defined != !strings.Contains("/divides /nothing", c.path) || (d.err != nil) != (c.path == "/divides") {
			t.Errorf("%s: the decision is logged as %+v", c.path, d)
		}
		all := s.logged.All()
		if c.logged == "" {
			if len(all) != 0 {
				t.Errorf("%s: logged %v", c.path, all)
			}
			continue
		}
		if len(all) != 1 || all[0].Message != c.logged {
			t.Fatalf("%s: logged %v", c.path, all)
		}
		line, err := json.Marshal(all[0].ContextMap())
		if err != nil {
			t.Fatal(err)
		}
		path, _, _ := strings.Cut(c.path, "?")
		for _, want := range []string{c.detail, `"path":"` + path + `"`, `"method":"GET"`, `"host":"shop.example"`, `"request_id":"17"`, `"decision_id":"`} {
			if !strings.Contains(string(line), want) {
				t.Errorf("%s: logged %s without %s", c.path, line, want)
			}
		}
		if strings.Contains(string(line), "secret") {
			t.Errorf("%s: logged %s", c.path, line)
		}
	}
	if got := s.answer(get("/%zz")); got != allowed+`}` {
		t.Error(got)
	}
}

func TestACallThatIsCancelledEndsItsEvaluation(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	s := start(t, map[string]string{"p.rego": policy}, func(c *extauthz.Config, e *engine.Config) {
		e.DecisionTimeout = time.Hour
		c.Begin = func(ctx context.Context, _ *engine.Generation, _ decision.Question) (context.Context, func(decision.Answer)) {
			close(begun)
			return ctx, func(a decision.Answer) { ended <- a.Err }
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := authv3.NewAuthorizationClient(s.conn).Check(ctx, get("/explodes"))
		failed <- err
	}()
	<-begun
	cancel()
	if err := <-failed; status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, engine.ErrDecisionTimeout) || !errors.Is(err, context.Canceled) {
		t.Errorf("the evaluation ended with %v", err)
	}
}

// TestTheDeadlineOfADecisionHolds however long the caller would wait.
func TestTheDeadlineOfADecisionHolds(t *testing.T) {
	s := start(t, map[string]string{"p.rego": policy}, func(_ *extauthz.Config, e *engine.Config) { e.DecisionTimeout = 50 * time.Millisecond })
	if _, err := s.check(get("/explodes")); status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "the decision took too long") {
		t.Error(err)
	}
	if s.logged.FilterMessage("a decision for Envoy took too long").Len() != 1 {
		t.Error("it is not in the log")
	}
}

func TestACallInProgressIsDrained(t *testing.T) {
	begun, stopping := make(chan struct{}), make(chan struct{})
	s := start(t, map[string]string{"p.rego": policy}, func(c *extauthz.Config, _ *engine.Config) {
		c.Begin = func(ctx context.Context, _ *engine.Generation, _ decision.Question) (context.Context, func(decision.Answer)) {
			close(begun)
			<-stopping
			return ctx, func(decision.Answer) {}
		}
	})
	answered := make(chan error, 1)
	go func() {
		response, err := authv3.NewAuthorizationClient(s.conn).Check(t.Context(), get("/yes"))
		if err == nil && response.GetOkResponse() == nil {
			err = errors.New("denied")
		}
		answered <- err
	}()
	<-begun
	watch, err := grpc_health_v1.NewHealthClient(s.conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	for err == nil { // until the watch ends, which says that the server is ending
		_, err = watch.Recv()
	}
	close(stopping)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestACallThatIsNotAdmittedReachesNothing(t *testing.T) {
	var asked atomic.Pointer[http.Request]
	s := start(t, map[string]string{"p.rego": policy}, func(c *extauthz.Config, _ *engine.Config) {
		c.DryRun = true
		c.Begin = func(ctx context.Context, _ *engine.Generation, _ decision.Question) (context.Context, func(decision.Answer)) {
			t.Error("a decision is made")
			return ctx, func(decision.Answer) {}
		}
		c.Admit = func(r *http.Request) (context.Context, error) {
			asked.Store(r)
			return nil, status.Error(codes.Unauthenticated, "unauthorized")
		}
	})
	if _, err := s.check(get("/yes")); status.Code(err) != codes.Unauthenticated {
		t.Error(err)
	}
	r := asked.Load()
	if r.URL.Path != "/envoy.service.auth.v3.Authorization/Check" ||
		r.Header.Get("Authorization") != "Bearer t" || !strings.HasPrefix(r.RemoteAddr, "127.0.0.1:") {
		t.Errorf("%s from %s with %v", r.URL.Path, r.RemoteAddr, r.Header)
	}
	asked.Store(nil)
	if _, err := grpc_health_v1.NewHealthClient(s.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil || asked.Load() != nil {
		t.Errorf("the health needs admission: %v", err)
	}
}

func TestAPanicInACallEndsNoOther(t *testing.T) {
	var crashes atomic.Bool
	s := start(t, map[string]string{"p.rego": policy}, func(c *extauthz.Config, _ *engine.Config) {
		c.Begin = func(ctx context.Context, _ *engine.Generation, _ decision.Question) (context.Context, func(decision.Answer)) {
			if crashes.Load() {
				panic("a mistake of ours")
			}
			return ctx, func(decision.Answer) {}
		}
	})
	crashes.Store(true)
	if _, err := s.check(get("/yes")); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "mistake") {
		t.Error(err)
	}
	if s.logged.FilterMessage("a call panicked").Len() != 1 {
		t.Error("it is not in the log")
	}
	crashes.Store(false)
	if got := s.answer(get("/yes")); !strings.Contains(got, "okResponse") {
		t.Error(got)
	}
}

func TestARequestThatIsTooLargeIsRefused(t *testing.T) {
	s := start(t, map[string]string{"p.rego": policy}, nil)
	r := get("/yes")
	r.GetAttributes().GetRequest().GetHttp().Body = strings.Repeat("x", 4<<20)
	if _, err := s.check(r); status.Code(err) != codes.ResourceExhausted {
		t.Error(err)
	}
}

func TestRequiredFieldsOfTheConfig(t *testing.T) {
	if _, err := extauthz.New(extauthz.Config{}); err == nil {
		t.Error("no error")
	}
}
