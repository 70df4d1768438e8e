package records

import (
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// Known are the results of builtins that are not deterministic, as far as the record has them; never nil. In JSON the operands, which are the key of a result, are a
// text: they are read as what they were.
func (r *Record) Known() builtins.NDBCache {
	known := builtins.NDBCache{}
	value, err := engine.ParseJSON(r.NDBuiltins)
	if err != nil {
		return known
	}
	all, ok := value.(ast.Object)
	if !ok {
		return known
	}
	all.Foreach(func(name, results *ast.Term) {
		builtin, ok1 := name.Value.(ast.String)
		of, ok2 := results.Value.(ast.Object)
		if !ok1 || !ok2 {
			return
		}
		of.Foreach(func(operands, result *ast.Term) {
			text, ok := operands.Value.(ast.String)
			if !ok {
				return
			}
			if list, err := engine.ParseJSON([]byte(text)); err == nil {
				known.Put(string(builtin), list, result.Value)
			}
		})
	})
	return known
}
