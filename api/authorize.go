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

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/server/writer"
	"github.com/open-policy-agent/opa/v1/util"
	"go.uber.org/zap"
)

// authzPackage is where a policy says who may call the sidecar, as OPA has it, and authzDecision what
// is asked of it.
var (
	authzPackage  = engine.Path{"system", "authz"}
	authzDecision = engine.Path{"system", "authz", "allow"}
)

// authorize asks the policy that serves whether a request that passed the gates may go on. A policy
// without a package system.authz leaves it to the token, and so does none at all: then nothing that a
// policy could guard is served. The request that goes on holds what the policy saw; nil is one that was
// answered, since only a plain permission lets it pass.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, rt route) *http.Request {
	g := s.current()
	if g == nil || !s.asksAuthz(g) {
		return r
	}
	next, input, err := authzInput(r)
	if err != nil {
		refuse(w, rt, types.CodeInvalidParameter, &httpError{statusOfBody(err), err.Error()})
		return nil
	}
	result, defined, err := g.Decide(r.Context(), authzDecision, input)
	if errors.Is(err, engine.ErrBusy) {
		w.Header().Set("Retry-After", decision.RetryAfter)
		refuse(w, rt, types.CodeInternal, &httpError{http.StatusServiceUnavailable, err.Error()})
		return nil
	}
	if err != nil {
		s.cfg.Logger.Error("system.authz could not be evaluated; the request is refused", zap.String("path", r.URL.Path), zap.Error(err))
		refuse(w, rt, types.CodeInternal, &httpError{http.StatusInternalServerError, types.MsgEvaluationError})
		return nil
	}
	verdict := readAuthz(result, defined)
	if verdict == nil {
		return next
	}
	code := types.CodeInternal
	if verdict.status == http.StatusUnauthorized {
		code = types.CodeUnauthorized
		s.recordRefused(r, verdict.status, "refused by the policy: "+verdict.message)
	}
	refuse(w, rt, code, verdict)
	return nil
}

// guarded is what a generation says of requests. It knows the generation by its number, since it would
// otherwise keep one that no longer serves.
type guarded struct {
	generation uint64
	asked      bool // its system.authz decides
}

// asksAuthz finds out once for each generation.
func (s *Server) asksAuthz(g *engine.Generation) bool {
	known := s.guarded.Load()
	if known == nil || known.generation != g.Number() {
		known = &guarded{generation: g.Number(), asked: g.HasPackage(authzPackage) || g.HasRules(authzDecision)}
		s.guarded.Store(known)
	}
	return known.asked
}

// readAuthz is nil for a permission. The rest is OPA's, status by status.
func readAuthz(result any, defined bool) *httpError {
	refused := &httpError{http.StatusUnauthorized, types.MsgUnauthorizedError}
	if !defined {
		return &httpError{http.StatusInternalServerError, types.MsgUnauthorizedUndefinedError}
	}
	switch result := result.(type) {
	case bool:
		if result {
			return nil
		}
	case map[string]any:
		allowed, ok := result["allowed"]
		if !ok {
			return &httpError{http.StatusInternalServerError, types.MsgUndefinedError}
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

func statusOfBody(err error) int {
	if errors.As(err, new(*http.MaxBytesError)) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// refuse answers in the words of the route.
func refuse(w http.ResponseWriter, rt route, code string, e *httpError) {
	if rt.opa() {
		writer.Error(w, e.status, types.NewErrorV1(code, "%s", e.message))
		return
	}
	decision.WriteError(w, e.status, e.message)
}

// authzInput is what OPA tells its system.authz of a request. A body that the policy sees is put into
// one form, so that the route reads what was judged: fields of one name, words after the end and YAML
// say different things to different readers.
func authzInput(r *http.Request) (*http.Request, ast.Value, error) {
	path, err := authzPath(r.URL)
	if err != nil {
		return nil, nil, err
	}
	input := map[string]any{"path": path, "method": strings.ToUpper(r.Method), "params": r.URL.Query(), "headers": r.Header}
	if tokens := appendTokens(nil, r.Header); len(tokens) > 0 {
		input["identity"] = tokens[0]
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

// authzPath are the parts of a path as the routes read them: an encoded slash does not separate, except
// where the route takes the rest of the path as one name.
func authzPath(u *url.URL) ([]string, error) {
	text, decoded := u.EscapedPath(), false
	if strings.HasPrefix(u.Path, "/v1/policies/") || strings.HasPrefix(u.Path, "/v1/compile/") {
		text, decoded = u.Path, true
	}
	parts := strings.Split(strings.TrimPrefix(text, "/"), "/")
	for i := range parts {
		if decoded {
			break
		}
		part, err := url.PathUnescape(parts[i])
		if err != nil {
			return nil, err
		}
		parts[i] = part
	}
	return parts, nil
}

// showsBody says of which requests the policy sees the body: those that ask for a decision.
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

// wireNames are the fields that the routes read, whose decoder does not mind capitals, and optionNames
// those of options.
var (
	wireNames   = []string{"input", "query", "unknowns", "options", "inputs", "common_input"}
	optionNames = []string{"disableInlining", "nondeterministicBuiltins", "maskRule", "targetDialects", "targetSQLTableMappings"}
)

func authzBody(r *http.Request, path []string) (body any, present bool, err error) {
	text, err := decision.Body(r)
	if err != nil || len(text) == 0 {
		return nil, false, err
	}
	if strings.Contains(r.Header.Get("Content-Type"), "yaml") {
		err = util.Unmarshal(text, &body)
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
	if err := errors.Join(exactly(fields, wireNames), exactly(options, optionNames)); err != nil {
		return nil, false, err
	}
	return body, true, nil
}

// exactly refuses fields that differ from a name by their capitals alone: the policy would not know them,
// and the route would.
func exactly(fields map[string]any, names []string) error {
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		for _, name := range names {
			if field != name && strings.EqualFold(field, name) {
				return fmt.Errorf("the field %q is to be written %q", field, name)
			}
		}
	}
	return nil
}

// withBody is the request with another body.
func withBody(r *http.Request, body any) (*http.Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("put the body into one form: %w", err)
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Del("Content-Encoding")
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}
