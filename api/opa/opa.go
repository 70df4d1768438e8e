// Package opa answers OPA's REST API over one generation of the engine, so that whoever calls OPA
// today can call the sidecar instead.
//
// Statuses and bodies are OPA's, down to its error messages; the types and writers are OPA's own
// where it exports them. What differs, differs because the sidecar's contract says so: errors of
// builtins are always errors, more builtins are forbidden, bodies are bounded, and policies and data
// come from files alone.
package opa

import (
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

// Values of headers that most answers have. They are shared, and never changed.
var varies, isJSON = []string{"Accept-Encoding"}, []string{"application/json"}

// The error codes that OPA does not have: its own server always has a policy, and takes what comes.
const (
	codeNoPolicy = "policy_unavailable"
	codeBusy     = "too_many_decisions"
)

// What OPA compresses when nobody configures it: answers from this size on, as small as can be.
const (
	gzipMinBytes = 1024
	gzipLevel    = 9
)

// API is OPA's REST API. Both exported fields are required.
type API struct {
	buffers sync.Pool // of *[]byte, for bodies and answers

	Current func() *engine.Generation // nil while nothing serves

	Begin decision.BeginFunc // is told of every decision
}

// exchange is one request with the one generation that answers it.
type exchange struct {
	*API
	w      http.ResponseWriter
	r      *http.Request
	g      *engine.Generation
	params url.Values // of the query; nil where there is none

	id      string // of the decision, where the caller is told it
	batchID string // of the batch that the decision is a part of
}

// handler puts around a route what OPA has around all of its: redirects, compressed answers, and
// which methods there are.
func (a *API) handler(answer func(*exchange), methods ...string) http.Handler {
	route := handlers.DefaultHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			refuseMethod(w, r, methods)
			return
		}
		g := a.Current()
		if g == nil {
			writer.Error(w, http.StatusServiceUnavailable, types.NewErrorV1(codeNoPolicy, "%s", decision.ErrNoPolicy))
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
			w.Header()["Vary"] = varies // what the other would do, and nothing else
			route.ServeHTTP(w, r)
			return
		}
		compressed.ServeHTTP(w, r)
	})
}

// refuseMethod tells those who would write where policies and data come from.
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

// flag reads a parameter that is on when it is there without a value or with true.
func (x *exchange) flag(name string) bool {
	values := x.params[name]
	return len(values) == 1 && values[0] == "" ||
		slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, "true") })
}

func (x *exchange) pretty() bool { return x.flag(types.ParamPrettyV1) }

func (x *exchange) write(v any) { writer.JSONOK(x.w, v, x.pretty()) }
