package decision

import (
	"context"
	"time"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Question describes one decision before it is made, for those that measure or log decisions. They may
// keep it: Path and Input are neither changed nor reused. The evaluation changes Query.
type Question struct {
	ID      string        // as in the answer to the caller; empty: the answer has none
	BatchID string        // of the batch that the decision is part of; empty: not part of a batch
	Path    engine.Path   // the document asked for; used if Query is nil
	Query   ast.Body      // as written by the caller; nil: Path is asked for
	Input   *engine.Input // nil: no input
	Text    string        // of a query that another process parsed; empty: Query or Path says what is asked

	Lenient bool // a builtin that fails is undefined; without it, it is an error of the decision
	Untold  bool // Input and the result are not known here, whatever the fields say

	Started time.Time // if that was before Begin; zero: now

	RequestedBy string // the caller's address; empty: that of the HTTP request
	Caller      string // the name of the token that the caller presented; empty: that of the HTTP request
	RequestID   string // ties the decision to other logs; empty: that of the HTTP request
}

// Answer describes how a decision ended. Result may be kept, as the fields of [Question] may.
type Answer struct {
	Result  any    // of JSON's Go types, or an [ast.Value]
	Text    []byte // the result as JSON, instead of Result; changed once end has returned
	Defined bool
	Err     error // nil: the decision was made
}

// BeginFunc is called before a decision is made. The decision is evaluated with the context that it
// returns, and end is called once, when the decision has ended. Safe for concurrent use.
type BeginFunc func(ctx context.Context, g *engine.Generation, q Question) (_ context.Context, end func(Answer))
