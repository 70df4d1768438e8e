package engine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

// DecisionTimeout bounds a decision whose context has no deadline of its own, unless
// [Config.DecisionTimeout] says otherwise.
const DecisionTimeout = time.Second

// ErrDecisionTimeout is wrapped when a decision's deadline passed or its caller went away.
var ErrDecisionTimeout = errors.New("the decision took too long")

// Path names a document under data: {"a", "b"} is data.a.b.
type Path []string

// ParsePath splits a slash path, such as a/b, whose parts may be percent-encoded. Empty parts are
// passed over. A part that cannot be unescaped or holds a quote is an error.
func ParsePath(s string) (Path, error) {
	var path Path
	for part := range strings.SplitSeq(s, "/") {
		if part == "" {
			continue
		}
		name, err := url.PathUnescape(part)
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", s, err)
		}
		if strings.Contains(name, `"`) {
			return nil, fmt.Errorf("path %q: part %q holds a quote", s, name)
		}
		path = append(path, name)
	}
	return path, nil
}

// String is the path as a Rego reference.
func (p Path) String() string { return p.ref().String() }

func (p Path) key() string { return strings.Join(p, "\x00") }

// ref treats a whole number as an index, as OPA's server does.
func (p Path) ref() ast.Ref {
	ref := make(ast.Ref, 1, len(p)+1)
	ref[0] = ast.DefaultRootDocument
	for _, name := range p {
		if i, ok := util.Atoi64(name); ok {
			ref = append(ref, ast.InternedTerm(i))
		} else {
			ref = append(ref, ast.InternedTerm(name))
		}
	}
	return ref
}

// Decide evaluates the document at path with input, which may be nil for none. Undefined is not an
// error: defined is false then. The result is made of JSON's Go types, numbers as [json.Number].
// An error is the policy's (a builtin that failed, a conflict between rules), ctx's, or wraps
// [ErrDecisionTimeout]. Decide reads no file, takes no lock that a reload holds, and needs nothing
// but this generation.
func (g *Generation) Decide(ctx context.Context, path Path, input ast.Value) (result any, defined bool, err error) {
	ctx, cancel := g.withDeadline(ctx)
	defer cancel()
	defer containPanic("evaluate "+path.String(), &err)
	plan, err := g.plan(ctx, path)
	if err != nil {
		return nil, false, err
	}
	options := []rego.EvalOption{rego.EvalTransaction(transaction{})}
	if input != nil {
		options = append(options, rego.EvalParsedInput(input))
	}
	set, err := plan.Eval(ctx, options...)
	if err != nil {
		if topdown.IsCancel(err) {
			err = fmt.Errorf("%w: %w", ErrDecisionTimeout, context.Cause(ctx))
		}
		return nil, false, fmt.Errorf("evaluate %s: %w", path, err)
	}
	if len(set) == 0 || len(set[0].Expressions) == 0 {
		return nil, false, nil
	}
	return set[0].Expressions[0].Value, true, nil
}
