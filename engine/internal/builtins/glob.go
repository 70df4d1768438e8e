package builtins

import (
	"github.com/gobwas/glob"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// globMatch is OPA's glob.match with a cache of our own. OPA's key joins pattern and delimiters with a dash,
// so ("admin", ["*", "-", "."]) and ("admin-*", ["."]) share an entry, and the second caller gets the answer
// to the first caller's pattern.
func globMatch(_ topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
	pattern, err := builtins.StringOperand(operands[0].Value, 1)
	if err != nil {
		return err
	}
	delimiters, err := delimitersOf(operands[1].Value)
	if err != nil {
		return err
	}
	text, err := builtins.StringOperand(operands[2].Value, 3)
	if err != nil {
		return err
	}
	p, err := compileGlob(globKey{string(pattern), delimiters})
	if err != nil {
		return err
	}
	return iter(ast.InternedTerm(p.Match(string(text))))
}

// delimitersOf returns the delimiters one after the other: each is one rune, so no two lists share a string.
func delimitersOf(v ast.Value) (string, error) {
	switch v := v.(type) {
	case ast.Null:
		return "", nil
	case *ast.Array:
		if v.Len() == 0 {
			return ".", nil
		}
		runes, err := builtins.RuneSliceOperand(v, 2)
		return string(runes), err
	default:
		return "", builtins.NewOperandTypeErr(2, v, "array", "null")
	}
}

type globKey struct{ pattern, delimiters string }

var globs = cache[globKey, *glob.Pattern]{max: 1000}

func compileGlob(k globKey) (*glob.Pattern, error) {
	return globs.get(k, len(k.pattern)+len(k.delimiters), func() (*glob.Pattern, error) {
		if len(k.pattern)+len(k.delimiters) > MaxPattern {
			return nil, tooLarge("the pattern", "bytes", MaxPattern)
		}
		return glob.Compile(k.pattern, []rune(k.delimiters)...)
	})
}
