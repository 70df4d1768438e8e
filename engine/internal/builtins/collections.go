package builtins

import (
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// needle is the guard of a membership test: it compares the operands before haystack with items of it, which
// ends where they differ.
func needle(haystack int) guard {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term) error {
		return small(bctx, operands[:haystack])
	}
}

// guardItems bounds the items of the first operand, where a builtin compares each with each.
func guardItems(limit int) guard {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term) error {
		if lenOf(operands[0].Value) > limit {
			return tooLarge("the operand", "items", limit)
		}
		return small(bctx, operands)
	}
}

// guardPairs bounds the pairs of values of two operands, where a builtin compares each with each.
func guardPairs(limit int) guard {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term) error {
		first, second := meter{cancel: bctx.Cancel}, meter{cancel: bctx.Cancel}
		if err := first.visit(operands[0], 0); err != nil {
			return err
		}
		if err := second.visit(operands[1], 0); err != nil {
			return err
		}
		if first.values*second.values > limit {
			return tooLarge("the operands", "pairs of values", limit)
		}
		return nil
	}
}

func guardConcatArrays(_ topdown.BuiltinContext, operands []*ast.Term) error {
	if lenOf(operands[0].Value)+lenOf(operands[1].Value) > MaxItems {
		return tooLarge("the result", "items", MaxItems)
	}
	return nil
}

func guardFlatten(_ topdown.BuiltinContext, operands []*ast.Term) error {
	total := 0
	each(operands[0].Value, func(t *ast.Term) {
		if a, ok := t.Value.(*ast.Array); ok {
			total += a.Len()
		}
	})
	if total > MaxItems {
		return tooLarge("the result", "items", MaxItems)
	}
	return nil
}

// maxLines bounds what one print writes: it writes every combination of the values of its operands.
const maxLines = 1000

func guardPrint(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if err := small(bctx, operands); err != nil {
		return err
	}
	lines := 1
	a, ok := operands[0].Value.(*ast.Array)
	for i := 0; ok && i < a.Len(); i++ {
		if set, ok := a.Elem(i).Value.(ast.Set); ok {
			if lines *= max(1, set.Len()); lines > maxLines {
				return tooLarge("the result", "lines", maxLines)
			}
		}
	}
	return nil
}

// patch is OPA's json.patch, which may double its document with each copy, so it is measured after each.
func patch(opas topdown.BuiltinFunc) topdown.BuiltinFunc {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		patches, ok := operands[1].Value.(*ast.Array)
		m, steps := meter{cancel: bctx.Cancel}, meter{cancel: bctx.Cancel}
		if err := steps.visit(operands[1], 0); err != nil {
			return err
		}
		if err := m.visit(operands[0], 0); err != nil {
			return err
		}
		if !ok {
			return opas(bctx, operands, iter)
		}
		if patches.Len()*m.values > MaxSteps {
			return tooLarge("the patch", "steps", MaxSteps)
		}
		document, begun, visited := operands[0], 0, 0
		for i := range patches.Len() {
			if i < patches.Len()-1 && !copies(patches.Elem(i)) {
				continue
			}
			err := opas(bctx, []*ast.Term{document, ast.NewTerm(patches.Slice(begun, i+1))}, func(t *ast.Term) error {
				document = t
				return nil
			})
			if err != nil {
				return err
			}
			if document == nil { // OPA's evaluator would panic
				return errNothingLeft
			}
			m := meter{cancel: bctx.Cancel}
			if err := m.visit(document, 0); err != nil {
				return err
			}
			if visited += m.values; visited > 8*MaxValues {
				return refusal("the copies of the patch need too many steps")
			}
			begun = i + 1
		}
		return iter(document)
	}
}

// errNothingLeft is of a patch such as [{"op": "remove", "path": ""}].
var errNothingLeft = errors.New("the patch removes the whole document")

// copies reports whether an operation makes the document larger than what it brings along.
func copies(operation *ast.Term) bool {
	o, ok := operation.Value.(ast.Object)
	if !ok {
		return false
	}
	op := o.Get(ast.InternedTerm("op"))
	return op != nil && op.Value.Compare(ast.String("copy")) == 0
}
