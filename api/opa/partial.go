package opa

import (
	"errors"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/server/types"
)

// partialOf checks and converts a request for partial evaluation.
func partialOf(request types.CompileRequestV1) (p engine.Partial, invalid *types.ErrorV1) {
	var err error
	if p.Query, err = parseQuery(request.Query); err != nil {
		var parse ast.Errors
		if errors.As(err, &parse) {
			return p, types.NewErrorV1(types.CodeInvalidParameter, types.MsgParseQueryError).WithASTErrors(parse)
		}
		return p, types.NewErrorV1(types.CodeInvalidParameter, "%s: %s", types.MsgParseQueryError, err)
	}
	if len(p.Query) == 0 {
		return p, types.NewErrorV1(types.CodeInvalidParameter, "missing required 'query' value")
	}
	if p.Input, err = valueOf(request.Input); err != nil {
		return p, types.NewErrorV1(types.CodeInvalidParameter, "error(s) occurred while converting input: %s", err)
	}
	if request.Unknowns != nil {
		p.Unknowns = make([]*ast.Term, 0, len(*request.Unknowns))
		for _, text := range *request.Unknowns {
			unknown, err := ast.ParseTerm(text)
			if err != nil {
				return p, types.NewErrorV1(types.CodeInvalidParameter, "error(s) occurred while parsing unknowns: %s", err)
			}
			p.Unknowns = append(p.Unknowns, unknown)
		}
	}
	p.DisableInlining = request.Options.DisableInlining
	p.NondeterministicBuiltins = request.Options.NondeterministicBuiltins
	return p, nil
}
