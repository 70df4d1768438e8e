package opa

import (
	"errors"
	"fmt"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/server/types"
)

// maxTermBytes bounds the text of one unknown or mask, for the reasons of maxQueryBytes.
const maxTermBytes = 4 << 10

// parseShort parses a text of at most maxTermBytes.
func parseShort[T any](text string, parse func(string) (T, error)) (none T, err error) {
	if len(text) > maxTermBytes {
		return none, fmt.Errorf("it has %d bytes; the limit is %d", len(text), maxTermBytes)
	}
	return parse(text)
}

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
			unknown, err := parseShort(text, ast.ParseTerm)
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
