package engine

import (
	"context"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Question is one decision as those see it who measure or log decisions, before it is made.
// Whoever gets one may keep it: neither Path nor Input is changed or used again for something else.
type Question struct {
	ID      string    // that the caller is told; empty: he is told none
	BatchID string    // of the batch that the decision is a part of; empty: of none
	Path    Path      // the document that is asked for, where Query is nil
	Query   ast.Body  // that the caller wrote; nil: Path. The evaluation changes it
	Input   ast.Value // nil: none

	RequestedBy string // the caller's address; empty: that of the HTTP request
	RequestID   string // that ties it to other logs; empty: that of the HTTP request
}

// Answer is how a decision ended. The rules of [Question] hold for its Result.
type Answer struct {
	Result  any // of JSON's Go types, or an [ast.Value]
	Defined bool
	Err     error // nil: it was made
}

// BeginFunc is told of a decision before it is made, and end of how it ended. The context is for the
// evaluation.
type BeginFunc func(ctx context.Context, g *Generation, q Question) (_ context.Context, end func(Answer))
