// Package opa answers OPA's REST API over one generation of the engine, so that whoever calls OPA
// today can call the sidecar instead.
package opa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"defenseclaw/engine"

	"github.com/google/uuid"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/util"
)

// codeNoPolicy is the one error code that OPA does not have: its own server always has a policy.
const codeNoPolicy = "policy_unavailable"

// Data answers GET and POST of /v1/data/{path}.
type Data struct {
	Current func() *engine.Generation // nil while nothing serves

	// Begin is told of every decision before it is made, and end of how it went.
	Begin func(ctx context.Context, g *engine.Generation) (_ context.Context, end func(defined bool, err error))
}

type dataAnswer struct {
	DecisionID string `json:"decision_id"`
	Result     *any   `json:"result,omitempty"` // left out when undefined
}

// ServeHTTP decides the document at the path that follows /v1/data. Undefined is 200 without result.
func (d Data) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := d.Current()
	if g == nil {
		writeError(w, http.StatusServiceUnavailable, codeNoPolicy, "no policy loaded")
		return
	}
	path, err := engine.ParsePath(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/data"))
	if err != nil {
		writeError(w, http.StatusBadRequest, types.CodeInvalidParameter, err.Error())
		return
	}
	input, err := readInput(r)
	if err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		writeError(w, status, types.CodeInvalidParameter, err.Error())
		return
	}
	ctx, end := d.Begin(r.Context(), g)
	result, defined, err := g.Decide(ctx, path, input)
	end(defined, err)
	if err != nil {
		writeError(w, http.StatusInternalServerError, types.CodeInternal, err.Error())
		return
	}
	answer := dataAnswer{DecisionID: uuid.NewString()}
	if defined {
		answer.Result = &result
	}
	write(w, http.StatusOK, answer)
}

// readInput takes the input of a GET from its query and of a POST from its body; nil is none.
func readInput(r *http.Request) (ast.Value, error) {
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
		if len(body) == 0 {
			return nil, nil
		}
		var request struct {
			Input *any `json:"input"`
		}
		if err := util.UnmarshalJSON(body, &request); err != nil {
			return nil, fmt.Errorf("body contains malformed input document: %w", err)
		}
		if request.Input == nil {
			return nil, nil
		}
		return ast.InterfaceToValue(*request.Input)
	}
	text := r.URL.Query().Get("input")
	if text == "" {
		return nil, nil
	}
	var v any
	if err := util.UnmarshalJSON([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("parameter contains malformed input document: %w", err)
	}
	return ast.InterfaceToValue(v)
}

func writeError(w http.ResponseWriter, status int, code, message string) {
	write(w, status, types.ErrorV1{Code: code, Message: message})
}

func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status = http.StatusInternalServerError
		body = []byte(`{"code":"` + types.CodeInternal + `","message":"the result could not be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller went away; there is nobody to tell
}
