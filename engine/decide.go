package engine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"defenseclaw/engine/internal/contain"

	"github.com/open-policy-agent/opa/v1/ast"
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
	path := make(Path, 0, strings.Count(s, "/")+1)
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

// Decide is [Generation.Evaluate] with the result in JSON's Go types, numbers as [json.Number].
// Undefined is not an error: defined is false then.
func (g *Generation) Decide(ctx context.Context, path Path, input ast.Value) (result any, defined bool, err error) {
	value, err := g.Evaluate(ctx, path, input)
	if err != nil || value == nil {
		return nil, false, err
	}
	if result, err = ast.JSON(value); err != nil {
		return nil, false, fmt.Errorf("evaluate %s: %w", path, err)
	}
	return result, true, nil
}

// Evaluate evaluates the document at path with input, which may be nil for none. The value is nil
// where the document is undefined, which is not an error. It is not to be changed: it may share parts
// with the generation's data. An error is the policy's (a builtin that failed, a conflict between
// rules), ctx's, or wraps [ErrDecisionTimeout] or [ErrBusy]. Evaluate reads no file, takes no lock that a reload
// holds, and needs nothing but this generation.
func (g *Generation) Evaluate(ctx context.Context, path Path, input ast.Value) (_ ast.Value, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = contain.Recovered("evaluate "+path.String(), v)
		}
	}()
	plan, err := g.plan(path)
	if err != nil {
		return nil, err
	}
	g.count(plan)
	if err := g.limiter.enter(ctx, plan.share, g.Timeout()); err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", path, err)
	}
	defer g.limiter.leave(plan.share)
	limit := newDeadline(ctx, g.Timeout())
	value, err := plan.tier.Load().evaluate(ctx, g, input, limit)
	switch {
	case err == nil:
		return value, nil
	case topdown.IsCancel(err):
		return nil, fmt.Errorf("evaluate %s: %w: %w", path, ErrDecisionTimeout, limit.cause())
	default:
		return plan.tellWell(ctx, input, limit.at, err)
	}
}

// tellWell evaluates once more what failed, so that the error has the stack and the text of the query,
// which a decision that goes well does without.
func (p *plan) tellWell(ctx context.Context, input ast.Value, until time.Time, first error) (ast.Value, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	value, err := p.watch(ctx, input)
	if topdown.IsCancel(err) {
		err = first
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", p.path, err)
	}
	return value, nil
}
