package api

import (
	"net/http"
	"slices"
	"strings"

	"defenseclaw/api/authzen"
	"defenseclaw/api/internal/decision"
	"defenseclaw/api/opa"

	"go.uber.org/zap"
)

// handlerFunc answers a request or says what went wrong; errors.go turns that into an answer.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

type route struct {
	pattern string // of http.ServeMux, without a method
	access  access
	methods []string
	handle  handlerFunc
}

// opa says that the route is one of OPA's, which answer all methods themselves, and errors as OPA does.
func (rt route) opa() bool { return rt.pattern != "" && rt.methods == nil }

// table is every route there is.
func (s *Server) table() []route {
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	return slices.Concat(s.opaRoutes(), s.authzenRoutes(), []route{
		{"/health/ready", accessOpen, get, s.ready},
		{"/metrics", accessRead, get, s.metrics},
		{"/policy/reload", accessChange, post, s.reload},
		{"/policy/status", accessRead, get, s.status},
		{"/policy/events", accessRead, get, s.events},
		{"/policy/lists", accessRead, get, s.lists},
		{"/policy/lists/{list}", accessChange, []string{http.MethodPost, http.MethodDelete}, s.changeList},
		{"/audit/records", accessRead, get, s.records},
		{"/audit/verify", accessRead, get, s.verifyRecords},
		{"/policy/evaluate", accessDecide, post, s.evaluateAdmission},
		{"/policy/evaluate/firewall", accessDecide, post, s.evaluateFirewall},
		{"/policy/evaluate/sandbox", accessDecide, post, s.evaluateSandbox},
		{"/policy/evaluate/audit", accessDecide, post, s.evaluateAudit},
		{"/policy/evaluate/skill-actions", accessDecide, post, s.evaluateSkillActions},
		{"/v1/guardrail/evaluate", accessDecide, post, s.evaluateGuardrail},
		{"/v1/guardrail/judge", accessDecide, post, s.judgeText},
	})
}

// authzenRoutes are the routes of AuthZEN's Authorization API, which has its own answer to a body that is not JSON.
func (s *Server) authzenRoutes() []route {
	a := &authzen.API{Current: s.current, Policy: s.cfg.AuthZEN, Begin: s.beginDataDecision}
	return []route{
		{"/access/v1/evaluation", accessRead, []string{http.MethodPost}, plain(a.Evaluation())},
		{"/access/v1/evaluations", accessRead, []string{http.MethodPost}, plain(a.Evaluations())},
		{"/.well-known/authzen-configuration", accessRead, []string{http.MethodGet, http.MethodHead}, plain(a.Metadata())},
	}
}

// opaRoutes are the routes that OPA's clients know. They answer for all methods themselves, as OPA does.
func (s *Server) opaRoutes() []route {
	a := &opa.API{Current: s.current, Begin: s.beginDataDecision}
	return []route{
		{"/health", accessOpen, []string{http.MethodGet, http.MethodHead}, plain(a.Health())},
		{"/v1/data", accessRead, nil, plain(a.Data())},
		{dataPattern, accessRead, nil, plain(a.Data())},
		{"/v0/data", accessRead, nil, plain(a.DataV0())},
		{"/v0/data/{path...}", accessRead, nil, plain(a.DataV0())},
		{"/{$}", accessRead, nil, plain(a.Default())},
		{"/v1/query", accessRead, nil, plain(a.Query())},
		{"/v1/compile", accessRead, nil, plain(a.Compile())},
		{"/v1/compile/{path...}", accessRead, nil, plain(a.Filters())},
		{"/v1/policies", accessRead, nil, plain(a.Policies())},
		{"/v1/policies/{path...}", accessRead, nil, plain(a.Policy())},
		{"/v1/batch/data", accessRead, nil, plain(a.Batch())},
		{"/v1/batch/data/{path...}", accessRead, nil, plain(a.Batch())},
	}
}

// Routes lists the pattern of every route.
func Routes() (patterns []string) {
	for _, r := range (&Server{}).table() {
		patterns = append(patterns, r.pattern)
	}
	return patterns
}

func plain(h http.Handler) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error { h.ServeHTTP(w, r); return nil }
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	var data http.Handler
	for _, r := range s.table() {
		h := s.guard(r)
		mux.Handle(r.pattern, h)
		if r.pattern == dataPattern {
			data = h
		}
	}
	mux.Handle("/", s.guard(route{access: accessRead, handle: func(http.ResponseWriter, *http.Request) error {
		return &httpError{status: http.StatusNotFound, message: "no such route"}
	}}))
	return s.withRequestID(s.withRecovery(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asksData(r) {
			data.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})))
}

// dataPattern is the route of nearly all requests.
const dataPattern = "/v1/data/{path...}"

// asksData says of which requests dataPattern is the route, without a search, which is a fiftieth of an
// answer. A path that the mux would clean first, or that is written with escapes, is left to it.
func asksData(r *http.Request) bool {
	path := r.URL.Path
	return r.Method == http.MethodPost && r.URL.RawPath == "" && strings.HasPrefix(path, "/v1/data/") &&
		!strings.Contains(path, "//") && !strings.Contains(path, "/.")
}

// guard puts the gates before a route.
func (s *Server) guard(rt route) http.Handler {
	gates := s.gates()
	return http.HandlerFunc(func(inner http.ResponseWriter, r *http.Request) {
		w := &countingWriter{ResponseWriter: inner, status: http.StatusOK}
		if ctx := s.cfg.Metrics.Continue(r.Context(), r.Header); ctx != r.Context() {
			r = r.WithContext(ctx)
		}
		defer func() { s.cfg.Metrics.Request(rt.pattern, w.status) }()
		r.Body = http.MaxBytesReader(w, r.Body, mostBodyBytes)
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead
		if rt.access != accessOpen || !safe {
			for _, g := range gates {
				if d, ok := g(r, rt.access); !ok {
					s.recordRefused(r, d.status, "no token, or a wrong one")
					if d.status == http.StatusTooManyRequests {
						w.Header().Set("Retry-After", decision.RetryAfter)
					}
					decision.WriteError(w, d.status, d.message)
					return
				}
			}
			allowed := s.authorize(w, r, rt)
			if allowed == nil {
				return
			}
			r = allowed
		}
		r = s.withAsker(r)
		if rt.methods != nil && !slices.Contains(rt.methods, r.Method) {
			w.Header().Set("Allow", strings.Join(rt.methods, ", "))
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		if err := rt.handle(w, r); err != nil {
			s.writeError(w, r, err)
		}
	})
}

// countingWriter remembers the status for the metrics.
type countingWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader passes the status on.
func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what the server made.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// withRequestID gives every answer an id that log and caller share: the caller's, or a new one. A
// caller that uses AuthZEN's name for it finds it under that name too.
func (s *Server) withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if own := r.Header[headerAuthZENRequestID]; len(own) > 0 && own[0] != "" {
			w.Header()[headerAuthZENRequestID] = own[:1:1]
		}
		id := []string{requestID(r)}
		r.Header[requestIDKey], w.Header()[requestIDKey] = id, id
		next.ServeHTTP(w, r)
	})
}

const headerAuthZENRequestID = "X-Request-Id"

func requestID(r *http.Request) string {
	for _, key := range [...]string{requestIDKey, headerAuthZENRequestID, "X-Correlation-Id"} {
		values := r.Header[key]
		if len(values) == 0 {
			continue
		}
		id := values[0]
		printable := strings.IndexFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
		if id != "" && len(id) <= 128 && printable {
			return id
		}
	}
	return decision.NewID()
}

// withRecovery keeps a crash in one request from being a silent closed connection.
func (s *Server) withRecovery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(v) //nolint:forbidigo // net/http's own way to abort a response
			}
			s.cfg.Logger.Error("a request crashed", zap.String("path", r.URL.Path), zap.Any("panic", v), zap.Stack("stack"))
			decision.WriteError(w, http.StatusInternalServerError, "internal error")
		}()
		next.ServeHTTP(w, r)
	})
}
