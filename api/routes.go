package api

import (
	"net/http"
	"slices"
	"strings"

	"defenseclaw/api/authzen"
	"defenseclaw/api/domains"
	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
	"defenseclaw/api/opa"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/server/writer"
)

// handlerFunc answers a request, or returns an error that [Server.writeError] answers.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

type route struct {
	pattern string // of http.ServeMux, without a method; empty: every other path
	access  gate.Access
	scope   gate.Scopes // that a token needs; none: any token will do
	writing gate.Scopes // that it needs instead for methods other than GET and HEAD; none: scope
	methods []string    // nil: the handler answers every method itself
	handle  handlerFunc
	opa     bool // OPA's clients call it and expect OPA's errors
}

var (
	get     = []string{http.MethodGet, http.MethodHead}
	getOnly = []string{http.MethodGet} // of OPA's, which have no HEAD
	post    = []string{http.MethodPost}
	change  = []string{http.MethodPost, http.MethodDelete}
	patch   = []string{http.MethodGet, http.MethodHead, http.MethodPatch}
	reading = []string{http.MethodGet, http.MethodHead, http.MethodPost}
	forget  = []string{http.MethodGet, http.MethodHead, http.MethodDelete}
)

// table is every route there is.
func (s *Server) table() []route {
	return slices.Concat(s.opaRoutes(), s.authzenRoutes(), s.domainRoutes(), s.originalRoutes(), []route{
		{pattern: "/health/ready", access: gate.Open, methods: get, handle: s.ready},
		{pattern: proofPattern, access: gate.Open, methods: get, handle: s.prove},
		{pattern: "/metrics", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.metrics},
		{pattern: "/policy/reload", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.reload},
		{pattern: "/policy/rollback", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.rollback},
		{pattern: "/policy/hold", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.hold},
		{pattern: "/policy/resume", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.resume},
		{pattern: "/policy/confirm", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.confirm},
		{pattern: "/policy/approve", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.approve},
		{pattern: "/policy/reject", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.reject},
		{pattern: "/policy/status", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.status},
		{pattern: "/v1/status", access: gate.Read, scope: gate.ScopeRead, methods: getOnly, handle: s.bundleStatus, opa: true},
		{pattern: "/v1/config", access: gate.Read, scope: gate.ScopeRead, methods: getOnly, handle: s.opaConfig, opa: true},
		{pattern: "/policy/review", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.review},
		{pattern: "/policy/diff", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.long(s.diff)},
		{pattern: "/policy/replay", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.long(s.replay)}, // with inputs
		{pattern: "/policy/try", access: gate.Change, scope: gate.ScopeRead, writing: gate.ScopeRead | gate.ScopeQuery, methods: reading, handle: s.answerTry},
		{pattern: "/policy/blame", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.blame},
		{pattern: "/policy/packages", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.packages},
		{pattern: "/policy/coverage", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.long(s.coverage)},
		{pattern: "/policy/search", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.search},
		{pattern: "/policy/fleet", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.fleet},
		{pattern: "/policy/files/{path...}", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.file}, // and ScopeQuery for data files
		{pattern: "/policy/history", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.history},
		{pattern: "/policy/history/{ref}", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.historyEntry},
		{pattern: "/policy/recordings", access: gate.Change, scope: gate.ScopeRead, writing: gate.ScopeChange, methods: forget, handle: s.answerRecordings},
		{pattern: "/policy/recordings/events", access: gate.Read, scope: gate.ScopeChange, methods: get, handle: s.recordedEvents}, // with inputs
		{pattern: "/policy/recordings/decisions", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.recordedDecisions},
		{pattern: "/policy/recordings/decisions/{id}", access: gate.Read, scope: gate.ScopeChange, methods: get, handle: s.recordedDecision},  // with its input
		{pattern: "/policy/recordings/decisions/{id}/test", access: gate.Read, scope: gate.ScopeChange, methods: get, handle: s.recordedTest}, // the same
		{pattern: "/policy/activity", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.activity},
		{pattern: "/policy/events", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.events},
		{pattern: "/policy/lists", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.lists},
		{pattern: "/policy/lists/{list}", access: gate.Change, scope: gate.ScopeChange, methods: change, handle: s.changeList},
		{pattern: "/policy/lists/import", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.importLists},
		{pattern: codesPattern, access: gate.Change, scope: gate.ScopeRead, methods: post, handle: s.newConsoleCode},
		{pattern: "/enforce/block", access: gate.Change, scope: gate.ScopeChange, methods: change, handle: s.enforceBlock},
		{pattern: "/enforce/allow", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.enforceAllow},
		{pattern: "/enforce/blocked", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.enforceBlocked},
		{pattern: "/enforce/allowed", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.enforceAllowed},
		{pattern: "/audit/records", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.records},
		{pattern: "/audit/verify", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.verifyRecords},
		{pattern: "/v1/guardrail/judge", access: gate.Decide, scope: gate.ScopeDecide, methods: post, handle: s.judgeText},
	})
}

// domainRoutes are the routes of the six domains of DefenseClaw's policy.
func (s *Server) domainRoutes() []route {
	d := &domains.API{
		Serving: s.serving, Begin: s.beginDomainDecision, Lists: s.listed, AskJudge: s.askJudge, HILT: s.cfg.HILT,
		CountAdmission: s.cfg.Metrics.Admission, Logger: s.cfg.Logger,
	}
	return []route{
		{pattern: "/policy/evaluate", access: gate.Decide, scope: gate.ScopeDecide, methods: post, handle: d.Admission},
		{pattern: "/policy/evaluate/firewall", access: gate.Decide, scope: gate.ScopeDecide, methods: post, handle: d.Firewall},
		{pattern: "/policy/evaluate/sandbox", access: gate.Decide, scope: gate.ScopeDecide, methods: post, handle: d.Sandbox},
		{pattern: "/policy/evaluate/audit", access: gate.Decide, scope: gate.ScopeDecide, methods: post, handle: d.Audit},
		{pattern: "/policy/evaluate/skill-actions", access: gate.Decide, scope: gate.ScopeDecide, methods: post, handle: d.SkillActions},
		{pattern: "/v1/guardrail/evaluate", access: gate.Decide, scope: gate.ScopeDecide, methods: post, handle: d.Guardrail},
	}
}

// originalRoutes are those that the command line, the plug-in and the desktop app of the original gateway call. What
// writes into the audit log needs the scope change: who may only decide must not fill the log.
func (s *Server) originalRoutes() []route {
	return []route{
		{pattern: "/status", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.clientStatus},
		{pattern: "/alerts", access: gate.Read, scope: gate.ScopeRead, methods: get, handle: s.alerts},
		{pattern: "/audit/event", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.auditEvent},
		{pattern: "/scan/result", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.scanResult},
		{pattern: "/v1/guardrail/config", access: gate.Change, scope: gate.ScopeRead, writing: gate.ScopeChange, methods: patch, handle: s.guardrailConfig},
		{pattern: "/v1/guardrail/event", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.guardrailEvent},
		{pattern: "/api/v1/observability/cli", access: gate.Change, scope: gate.ScopeChange, methods: post, handle: s.command},
	}
}

// needs is the scope that a request with this method needs.
func (rt route) needs(method string) gate.Scopes {
	if rt.writing != 0 && !slices.Contains(get, method) {
		return rt.writing
	}
	return rt.scope
}

// authzenRoutes are the routes of AuthZEN's Authorization API, which has its own answer to a body that is
// not JSON: so they are of the class [gate.Read].
func (s *Server) authzenRoutes() []route {
	a := &authzen.API{Serving: s.serving, Policy: s.cfg.AuthZEN, Begin: s.beginDataDecision}
	return []route{
		{pattern: "/access/v1/evaluation", access: gate.Read, scope: gate.ScopeDecide, methods: post, handle: plain(a.Evaluation())},
		{pattern: "/access/v1/evaluations", access: gate.Read, scope: gate.ScopeDecide, methods: post, handle: plain(a.Evaluations())},
		{pattern: "/.well-known/authzen-configuration", access: gate.Read, scope: gate.ScopeDecide, methods: get, handle: plain(a.Metadata())},
	}
}

// opaRoutes are the routes of OPA's API. They answer every method themselves, as OPA does; only the probe
// does not.
func (s *Server) opaRoutes() []route {
	a := &opa.API{
		Serving: s.serving, Ready: s.cfg.StaleSource.notReady, Begin: s.beginDataDecision, MayRead: s.mayRead, StrictBuiltinErrors: s.cfg.StrictBuiltinErrors,
		Elsewhere: s.cfg.Elsewhere, DecisionsElsewhere: s.cfg.DecisionsElsewhere, Logged: s.cfg.Decisions != nil,

		DefaultDecision: s.cfg.DefaultDecision, BundlesMissing: s.cfg.BundlesMissing,
		Suggests: func(g *engine.Generation) bool { return !decidesCallers(g) }, // who may not ask for a rule is not told of it
	}
	routes := []route{{pattern: "/health", access: gate.Open, methods: get, handle: plain(a.Health(s.health))}}
	for _, r := range []struct {
		pattern string
		scope   gate.Scopes
		handler http.Handler
	}{
		{"/v1/data", gate.ScopeDecide, a.Data()}, // and ScopeQuery for documents of data files, here and below: see mayRead
		{dataPattern, gate.ScopeDecide, a.Data()},
		{"/v0/data", gate.ScopeDecide, a.DataV0()},
		{"/v0/data/{path...}", gate.ScopeDecide, a.DataV0()},
		{"/{$}", gate.ScopeDecide, a.Default()},
		{"/v1/batch/data", gate.ScopeDecide, a.Batch()},
		{"/v1/batch/data/{path...}", gate.ScopeDecide, a.Batch()},
		{"/v1/query", gate.ScopeQuery, a.Query()},
		{"/v1/compile", gate.ScopeQuery, a.Compile()},
		{"/v1/compile/{path...}", gate.ScopeQuery, a.Filters()}, // callers choose what is unknown, and so what is shown
		{"/v1/policies", gate.ScopeRead, a.Policies()},
		{"/v1/policies/{path...}", gate.ScopeRead, a.Policy()},
	} {
		routes = append(routes, route{pattern: r.pattern, access: gate.Read, scope: r.scope, handle: plain(r.handler), opa: true})
	}
	return routes
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

func noRoute(http.ResponseWriter, *http.Request) error {
	return &decision.HTTPError{Status: http.StatusNotFound, Message: "no such route"}
}

// routes puts the table into one handler.
func (s *Server) routes() http.Handler {
	z := &authz{current: s.current, logger: s.cfg.Logger}
	mux := http.NewServeMux()
	var data http.Handler
	for _, r := range s.table() {
		h := s.guard(z, r)
		mux.Handle(r.pattern, h)
		if r.pattern == dataPattern {
			data = h
		}
	}
	mux.Handle("/", s.guard(z, route{access: gate.Read, handle: noRoute}))
	return s.withAccessLog(withRequestID(s.withRecovery(s.withConsole(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = s.separated(r)
		if isDataDecision(r) {
			data.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})))))
}

// dataPattern is the route of nearly all requests.
const dataPattern = "/v1/data/{path...}"

// isDataDecision reports whether dataPattern is the route of a request, without asking the mux. It leaves
// to the mux every path that the mux would clean first, or that contains escapes. Asking the mux costs 5
// more allocations, of 64 in all, and about 5 % of the time (BenchmarkDataDecision).
func isDataDecision(r *http.Request) bool {
	path := r.URL.Path
	return r.Method == http.MethodPost && r.URL.RawPath == "" && strings.HasPrefix(path, "/v1/data/") &&
		!strings.Contains(path, "//") && !strings.Contains(path, "/.")
}

// guard serves a route to the requests that pass the gate, have the scope and pass the policy's system.authz.
func (s *Server) guard(z *authz, rt route) http.Handler {
	return http.HandlerFunc(func(inner http.ResponseWriter, r *http.Request) {
		w := &countingWriter{ResponseWriter: inner, status: http.StatusOK}
		if ctx := s.cfg.Metrics.Continue(r.Context(), r.Header); ctx != r.Context() {
			r = r.WithContext(ctx)
		}
		defer func() { s.cfg.Metrics.Request(rt.pattern, w.status) }()
		s.noteRoute(r.Context(), rt.pattern)
		if s.leaving.Load() && rt.pattern != proofPattern { // after the proof, the request comes on the same connection
			w.Header().Set("Connection", "close") // the caller's next connection can go elsewhere
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		if gate.Applies(r, rt.access) {
			if r = s.admit(z, w, r, rt); r == nil {
				return
			}
		} else if gate.EndsSoon(r.Context()) {
			w.Header().Set("Connection", "close")
		}
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

// admit returns the request to serve, or answers it and returns nil.
func (s *Server) admit(z *authz, w http.ResponseWriter, r *http.Request, rt route) *http.Request {
	caller, denial := s.gate.Check(r, rt.access)
	if denial != nil {
		s.deny(w, r, denial)
		return nil
	}
	gate.Trust(r.Context())
	s.noteCaller(r.Context(), caller)
	if !caller.Scopes.Has(rt.needs(r.Method)) {
		s.denyScope(w, r, rt, caller)
		return nil
	}
	seen, refused := z.authorize(r, caller)
	if refused != nil {
		s.refuse(w, r, rt, caller, refused)
		return nil
	}
	return s.withRequester(seen, rt, caller)
}

// deny answers a request that did not pass the gate. Callers without the token are recorded; the other
// denials are faults of callers that have it, or too many to record.
func (s *Server) deny(w http.ResponseWriter, r *http.Request, denial *gate.Denial) {
	switch denial.Status {
	case http.StatusUnauthorized:
		s.recordRefused(r, "", noToken)
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", decision.RetryAfter)
	}
	decision.WriteError(w, denial.Status, denial.Message)
}

// refuse answers a request that the policy did not permit, in the words of its route. Refusals that the
// policy decided are recorded.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, rt route, caller gate.Caller, refused *refusal) {
	switch refused.status {
	case http.StatusUnauthorized:
		s.recordRefused(r, caller.Name, "refused by the policy: "+refused.message)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", decision.RetryAfter)
	}
	rt.writeError(w, refused.status, refused.code, refused.message)
}

// writeError writes an error in the form that the route's clients expect. code is OPA's.
func (rt route) writeError(w http.ResponseWriter, status int, code, message string) {
	if rt.opa {
		writer.Error(w, status, types.NewErrorV1(code, "%s", message))
		return
	}
	decision.WriteError(w, status, message)
}
