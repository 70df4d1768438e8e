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

// evaluationError converts the error of a decision to OPA's form.
func evaluationError(err error) *types.ErrorV1 {
	var evaluation *topdown.Error
	var compile ast.Errors
	switch {
	case errors.Is(err, engine.ErrPath):
		return types.NewErrorV1(types.CodeInvalidParameter, "invalid path: %s", shortened(err.Error()))
	case errors.As(err, &evaluation):
		return types.NewErrorV1(types.CodeInternal, types.MsgEvaluationError).WithError(evaluation)
	case errors.Is(err, engine.ErrPathTypes) && errors.As(err, &compile):
		return types.NewErrorV1(types.CodeInvalidParameter, "invalid path: %s", compile.Error())
	case errors.As(err, &compile):
		return types.NewErrorV1(types.CodeInternal, "%s", compile.Error())
	default:
		return types.NewErrorV1(types.CodeInternal, "%s", err.Error())
	}
}

// failDecision answers a decision that failed.
func (x *exchange) failDecision(err error) {
	if after, ok := engine.RetryAfter(err); ok {
		code := codeUnavailable
		if errors.Is(err, engine.ErrBusy) {
			code = codeBusy
		}
		decision.SetRetryAfter(x.w.Header(), after)
		writer.ErrorString(x.w, http.StatusServiceUnavailable, code, err)
		return
	}
	status := http.StatusInternalServerError
	if isInvalidPath(err) { // where OPA's server says that the fault is its own
		status = http.StatusBadRequest
	}
	writer.Error(x.w, status, evaluationError(err))
}

// isInvalidPath reports whether no input gives the path a document.
func isInvalidPath(err error) bool {
	return errors.Is(err, engine.ErrPath) || errors.Is(err, engine.ErrPathTypes)
}

// failQuery answers a query that failed: with 400 if it does not compile.
func (x *exchange) failQuery(err error, message string) {
	var compile ast.Errors
	if errors.As(err, &compile) {
		writer.Error(x.w, http.StatusBadRequest, types.NewErrorV1(types.CodeInvalidParameter, "%s", message).WithASTErrors(compile))
		return
	}
	x.failDecision(err)
}

// failRequest answers an invalid request.
func (x *exchange) failRequest(err error) {
	status := http.StatusBadRequest
	if tooLarge := decision.TooLarge(err); tooLarge != nil {
		status, err = http.StatusRequestEntityTooLarge, tooLarge
	}
	writer.Error(x.w, status, types.NewErrorV1(types.CodeInvalidParameter, "%s", err.Error()))
}

// failInputV0 is failRequest with the message of the older API.
func (x *exchange) failInputV0(err error) {
	x.failRequest(fmt.Errorf("unexpected parse error for input: %w", err))
}
