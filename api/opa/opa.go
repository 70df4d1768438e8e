// Package opa serves OPA's REST API from a generation of the engine, so that clients of OPA can call the
// sidecar instead.
//
// Statuses and bodies are OPA's, including its error messages; types and writers are OPA's own if exported.
// The differences follow from the sidecar's contract: more builtins are forbidden, the size of bodies is limited, and policies and data come from files only.
package opa

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/server/handlers"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/server/writer"
)

// Error codes that OPA does not have: its server always has a policy, limits no decisions, and evaluates
// in its own process.
const (
	codeNoPolicy    = "policy_unavailable"
	codeExpired     = "policy_expired"
	codeSourceStale = "policy_source_stale"
	codeBusy        = "too_many_decisions"
	codeUnavailable = "evaluation_unavailable"
)

// OPA's defaults for compression: the minimum size of an answer, and the level.
const (
	gzipMinBytes = 1024
	gzipLevel    = 9
)

// API is OPA's REST API. Serving and Begin are required.
type API struct {
	buffers sync.Pool // of *[]byte, see buffer

	// Serving fails while there is no generation to decide by: with [decision.ErrNoPolicy],
	// [decision.ErrExpired] or [decision.ErrSourceStale].
	Serving func() (*engine.Generation, error)

	// Ready is why /health says that decisions are to be asked for elsewhere, although they are made here; nil: they never are.
	Ready func() error

	Begin decision.BeginFunc // called for every decision

	// StrictBuiltinErrors makes errors of builtins errors of the decision, also if the request does not ask for it.
	StrictBuiltinErrors bool

	// MayRead returns an error if the sender of a request may not have the document at path, or not with an
	// explanation. Nil: everyone may have everything.
	MayRead func(r *http.Request, g *engine.Generation, path engine.Path, explained bool) error

	// Suggests reports whether the warning that nothing is at a path may name rules of a generation. Nil: it may.
	Suggests func(g *engine.Generation) bool

	DefaultDecision engine.Path // that POST of / makes; empty: system/main

	BundlesMissing func() bool // a bundle that is followed has no part in what serves; nil: never

	Elsewhere          Elsewhere // evaluates queries and partial evaluations; nil: they are evaluated here
	DecisionsElsewhere bool      // Elsewhere also evaluates decisions that are observed, as the generations do others
	Logged             bool      // whoever Begin tells wants inputs and results
}

// exchange is a request and the generation that answers it.
type exchange struct {
	*API
	w      http.ResponseWriter
	r      *http.Request
	g      *engine.Generation
	params url.Values // of the query string; nil if there is none

	id      string // of the decision, if the answer contains it
	batchID string // of the batch that the decision belongs to
}

// handler wraps a route as OPA does: with redirects, compressed answers, and the allowed methods.
func (a *API) handler(answer func(*exchange), methods ...string) http.Handler {
	route := handlers.DefaultHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			refuseMethod(w, r, methods)
			return
		}
		g, err := a.Serving()
		if err != nil {
			code := codeNoPolicy
			switch {
			case errors.Is(err, decision.ErrExpired):
				code = codeExpired
			case errors.Is(err, decision.ErrSourceStale):
				code = codeSourceStale
			}
			w.Header().Set("Retry-After", decision.RetryAfter)
			writer.Error(w, http.StatusServiceUnavailable, types.NewErrorV1(code, "%s", err))
			return
		}
		decision.SetHeaders(w.Header(), g)
		x := &exchange{API: a, w: w, r: r, g: g}
		if r.URL.RawQuery != "" {
			x.params = r.URL.Query()
		}
		answer(x)
	}))
	compressed := handlers.CompressHandler(route, gzipMinBytes, gzipLevel)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && len(r.Header["Accept-Encoding"]) == 0 && strings.HasPrefix(r.URL.Path, "/v1/data") {
			// The compressing handler would do no more than this, and BenchmarkDataDecision would take
			// 14.8 instead of 14.2 µs.
			w.Header().Set("Vary", "Accept-Encoding")
			route.ServeHTTP(w, r)
			return
		}
		compressed.ServeHTTP(w, r)
	})
}

// refuseMethod answers 405. For a method that writes, the body says where policies and data come from.
func refuseMethod(w http.ResponseWriter, r *http.Request, methods []string) {
	w.Header().Set("Allow", strings.Join(methods, ", "))
	switch r.Method {
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		writer.Error(w, http.StatusMethodNotAllowed, types.NewErrorV1(types.CodeInvalidOperation,
			"%s is not allowed: the files of the policy directory are the only source of policies and data; change them there", r.Method))
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// flag reports whether a boolean parameter is set: without a value, or to true.
func (x *exchange) flag(name string) bool {
	values := x.params[name]
	return len(values) == 1 && values[0] == "" ||
		slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, "true") })
}

func (x *exchange) pretty() bool { return x.flag(types.ParamPrettyV1) }
