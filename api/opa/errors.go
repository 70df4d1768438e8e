package opa

import (
	"errors"
	"fmt"
	"net/http"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/server/writer"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// evaluationError is a decision's error as OPA puts it.
func evaluationError(err error) *types.ErrorV1 {
	var evaluation *topdown.Error
	var compile ast.Errors
	switch {
	case errors.Is(err, engine.ErrPath):
		// OPA calls a path that it cannot parse its own error, and so its message names two codes.
		return types.NewErrorV1(types.CodeInternal, "%s: invalid path: failed to parse query", types.CodeInvalidParameter)
	case errors.As(err, &evaluation):
		return types.NewErrorV1(types.CodeInternal, types.MsgEvaluationError).WithError(evaluation)
	case errors.As(err, &compile):
		return types.NewErrorV1(types.CodeInternal, "%s", compile.Error())
	default:
		return types.NewErrorV1(types.CodeInternal, "%s", err.Error())
	}
}

// failDecision answers for a decision by path that could not be made.
func (x *exchange) failDecision(err error) {
	if errors.Is(err, engine.ErrBusy) {
		x.w.Header().Set("Retry-After", decision.RetryAfter)
		writer.ErrorString(x.w, http.StatusServiceUnavailable, codeBusy, err)
		return
	}
	writer.Error(x.w, http.StatusInternalServerError, evaluationError(err))
}

// failQuery answers for a query: when it does not compile, the caller is at fault.
func (x *exchange) failQuery(err error, message string) {
	var compile ast.Errors
	if errors.As(err, &compile) {
		writer.Error(x.w, http.StatusBadRequest, types.NewErrorV1(types.CodeInvalidParameter, "%s", message).WithASTErrors(compile))
		return
	}
	x.failDecision(err)
}

// failRequest answers for a request that cannot be read.
func (x *exchange) failRequest(err error) {
	status := http.StatusBadRequest
	if errors.As(err, new(*http.MaxBytesError)) {
		status = http.StatusRequestEntityTooLarge
	}
	writer.Error(x.w, status, types.NewErrorV1(types.CodeInvalidParameter, "%s", err.Error()))
}

// failInputV0 is failRequest in the older API's words.
func (x *exchange) failInputV0(err error) {
	x.failRequest(fmt.Errorf("unexpected parse error for input: %w", err))
}

// invalidPath is how OPA says that a part of a path cannot be.
func invalidPath(part string) error {
	return fmt.Errorf("%s: invalid path: invalid ref term '%s'", types.CodeInvalidParameter, part)
}
