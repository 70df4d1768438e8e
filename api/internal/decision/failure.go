package decision

import (
	"encoding/json"
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// ErrorObject converts an error as OPA does in its decision log: its own errors to objects or lists of them. nil
// is nil.
func ErrorObject(err error) any {
	var remote *RemoteError
	var evaluation *topdown.Error
	var compilation ast.Errors
	switch {
	case err == nil:
		return nil
	case errors.As(err, &remote):
		return remote.Object
	case errors.As(err, &evaluation):
		return evaluation
	case errors.As(err, &compilation):
		return compilation
	default:
		return map[string]string{"code": "internal_error", "message": err.Error()}
	}
}

// RemoteError is an error of another process.
type RemoteError struct {
	Text   string
	Object json.RawMessage // of [ErrorObject]
}

// NewRemoteError makes what another process can read of err.
func NewRemoteError(err error) *RemoteError {
	object, failed := json.Marshal(ErrorObject(err))
	if failed != nil { // no error holds what is not JSON
		object = []byte("{}")
	}
	return &RemoteError{err.Error(), object}
}

// Error is the text of the error.
func (e *RemoteError) Error() string { return e.Text }
