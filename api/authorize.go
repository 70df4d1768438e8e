package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/util"
	"go.uber.org/zap"
)

// authzPackage holds a policy's own rules about who may call the sidecar, as in OPA; authzDecision is the
// document that decides.
var (
	authzPackage  = engine.Path{"system", "authz"}
	authzDecision = engine.Path{"system", "authz", "allow"}
)

// authz asks the policy that serves whether a request may go on. Safe for concurrent use.
type authz struct {
	current func() *engine.Generation
	logger  *zap.Logger
	state   atomic.Pointer[authzState] // of the generation asked last
}

// authzState says whether a generation has rules about callers. It holds the generation's number, not the
// generation, which would otherwise stay in memory after it stopped serving.
type authzState struct {
	generation uint64
	decides    bool
}

// refusal is the answer to a request that may not go on. A 401 is a decision of the policy; everything
// else means that there was none.
type refusal struct {
	status  int
	code    string // OPA's, for its own routes
	message string
}

// authorize returns the request to serve, or else why it is refused: only a plain permission lets it
// pass. The body of the request that it returns is what the policy saw. A policy without system.authz
// lets every request pass, as does no policy: then there is nothing that a policy could protect.
func (a *authz) authorize(r *http.Request, caller gate.Caller) (*http.Request, *refusal) {
	g := a.current()
	if g == nil || !a.hasAuthz(g) {
		return r, nil
	}
	seen, input, err := authzInput(r, caller)
	if err != nil {
		return nil, refusalOfBody(err)
	}
	result, defined, err := g.Decide(r.Context(), authzDecision, input)
	if _, unavailable := engine.RetryAfter(err); unavailable {
		return nil, &refusal{http.StatusServiceUnavailable, types.CodeInternal, err.Error()}
	}
	if err != nil {
		a.logger.Error("system.authz could not be evaluated; the request is refused",
			zap.String("path", r.URL.Path), zap.Error(err))
		return nil, &refusal{http.StatusInternalServerError, types.CodeInternal, types.MsgEvaluationError}
	}
	if refused := readAuthz(result, defined); refused != nil {
		return nil, refused
	}
	return seen, nil
}

// hasAuthz looks for the rules once for each generation. Without the cache, a decision makes 14 more
// allocations, of 75 in all, and takes about 6 % longer (BenchmarkDataDecision).
func (a *authz) hasAuthz(g *engine.Generation) bool {
	state := a.state.Load()
	if state == nil || state.generation != g.Number() {
		state = &authzState{g.Number(), decidesCallers(g)}
		a.state.Store(state)
	}
	return state.decides
}

// decidesCallers reports whether a policy has rules about who may call.
func decidesCallers(g *engine.Generation) bool {
	return g.HasPackage(authzPackage) || g.HasRules(authzDecision)
}

// readAuthz returns nil for a permission. Its refusals are OPA's, status by status.
func readAuthz(result any, defined bool) *refusal {
	refused := &refusal{http.StatusUnauthorized, types.CodeUnauthorized, types.MsgUnauthorizedError}
	if !defined {
		return &refusal{http.StatusInternalServerError, types.CodeInternal, types.MsgUnauthorizedUndefinedError}
	}
	switch result := result.(type) {
	case bool:
		if result {
			return nil
		}
	case map[string]any:
		allowed, ok := result["allowed"]
		if !ok {
			return &refusal{http.StatusInternalServerError, types.CodeInternal, types.MsgUndefinedError}
		}
		if allowed == true {
			return nil
		}
		if reason, ok := result["reason"].(string); ok {
			refused.message = reason
		}
	}
	return refused
}

// refusalOfBody answers a body that the policy cannot see.
func refusalOfBody(err error) *refusal {
	if tooLarge := decision.TooLarge(err); tooLarge != nil {
		return &refusal{http.StatusRequestEntityTooLarge, types.CodeInvalidParameter, tooLarge.Error()}
	}
	return &refusal{http.StatusBadRequest, types.CodeInvalidParameter, err.Error()}
}

// authzInput returns the input of system.authz, as OPA makes it from a request, and the request to serve.
// A body that the policy sees is written anew, so that the route reads exactly what was judged: duplicate
// fields, text after the end and YAML mean different things to different readers.
func authzInput(r *http.Request, caller gate.Caller) (*http.Request, ast.Value, error) {
	path, err := authzPath(r.URL)
	if err != nil {
		return nil, nil, err
	}
	input := map[string]any{"path": path, "method": strings.ToUpper(r.Method), "params": r.URL.Query(), "headers": r.Header}
	if caller.Secret != "" { // the token that let the caller in: another one may be presented as well, and wrong
		input["identity"] = caller.Secret
	}
	if caller.User != "" {
		input["identity"] = caller.User
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		input["identity"] = r.TLS.PeerCertificates[0].Subject.ToRDNSequence().String()
		input["client_certificates"] = r.TLS.PeerCertificates
	}
	if showsBody(r.Method, path) {
		body, present, err := authzBody(r, path)
		if err != nil {
			return nil, nil, err
		}
		if present {
			input["body"] = body
			if r, err = withBody(r, body); err != nil {
				return nil, nil, err
			}
		}
	}
	value, err := ast.InterfaceToValue(input)
	return r, value, err
}

// authzPath returns the parts of a path as the routes read them: each is decoded once, and an encoded slash does not
// separate, except where a route reads the rest of the path as one name.
func authzPath(u *url.URL) ([]string, error) {
	if strings.HasPrefix(u.Path, "/v1/policies/") {
		return strings.Split(strings.TrimPrefix(u.Path, "/"), "/"), nil
	}
	parts := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i := range parts {
		var err error
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// showsBody reports whether the policy sees the body: that of a request for a decision.
func showsBody(method string, path []string) bool {
	if method != http.MethodPost {
		return false
	}
	if len(path) == 1 {
		return path[0] == ""
	}
	switch strings.Join(path[:2], "/") {
	case "v0/data", "v1/data", "v1/compile", "v1/query", "v1/batch":
		return true
	default:
		return false
	}
}

// bodyNames are the fields that OPA's routes read, and optionNames those of options. The decoder of the
// routes ignores case.
var (
	bodyNames   = []string{"input", "query", "unknowns", "options", "inputs", "common_input"}
	optionNames = []string{
		"disableInlining", "nondeterministicBuiltins", "maskRule", "targetDialects", "targetSQLTableMappings",
	}
)

func authzBody(r *http.Request, path []string) (body any, present bool, err error) {
	text, err := decision.Body(r)
	if err != nil || len(text) == 0 {
		return nil, false, err
	}
	if strings.Contains(r.Header.Get("Content-Type"), "yaml") {
		if err = engine.CheckYAMLInput(text); err == nil {
			err = util.Unmarshal(text, &body)
		}
	} else {
		err = util.UnmarshalJSON(text, &body)
	}
	if err != nil {
		return nil, false, err
	}
	fields, ok := body.(map[string]any)
	if !ok || path[0] != "v1" {
		return body, true, nil
	}
	options, _ := fields["options"].(map[string]any)
	if err := errors.Join(requireCase(fields, bodyNames), requireCase(options, optionNames)); err != nil {
		return nil, false, err
	}
	return body, true, nil
}

// requireCase refuses fields that differ from a name in case only: the policy would not find them, but the
// route would.
func requireCase(fields map[string]any, names []string) error {
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		for _, name := range names {
			if field != name && strings.EqualFold(field, name) {
				return fmt.Errorf("the field %q must be written %q", field, name)
			}
		}
	}
	return nil
}

// withBody returns a copy of the request with another body.
func withBody(r *http.Request, body any) (*http.Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write the body anew: %w", err)
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Del("Content-Encoding")
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}
