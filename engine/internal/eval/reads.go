package eval

import "github.com/open-policy-agent/opa/v1/ast"

// ReadsInput reports whether the rules at ref, or any that they refer to, may read the field of the input with this
// name. It reads compiled rules, in which aliases of imports are written in full. Where it cannot tell it says yes:
// whoever passes the input on as a whole, or looks up a field by a computed name, may read any of them.
func ReadsInput(compiler *ast.Compiler, ref ast.Ref, name string) bool {
	// Many rules refer to the same one. They are told apart by their addresses, as one compiler's rules can be.
	seen := map[*ast.Rule]bool{}
	// A worklist, not a recursion: chains of rules may be as long as the policy.
	for left := rulesAt(compiler, ref); len(left) > 0; {
		rule := left[len(left)-1]
		left = left[:len(left)-1]
		// Recursion is refused at load, but two rules may share a helper.
		if seen[rule] {
			continue
		}
		seen[rule] = true
		use := inputUse{name: name}
		use.look(rule) // its else branches, too: they are parts of it
		// One reader is enough: most policies that hear of the field name it in their first rules.
		if use.read {
			return true
		}
		for _, other := range use.data {
			left = append(left, rulesAt(compiler, other)...)
		}
	}
	return false
}

// inputUse is what one rule does with the input. The kinds of expressions need no cases of their own: each way to read the
// input is a reference that begins with it, or the input itself as a term, wherever in the rule it is.
type inputUse struct {
	name string    // of the field in question
	read bool      // the rule may read it
	data []ast.Ref // what the rule refers to under data, where other rules may read it
}

func (u *inputUse) look(x any) {
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.With:
			// What is replaced is not read. That an evaluation under another input does not read this one is not made use
			// of: what the rules read under it counts, which can only lead to a yes too many.
			u.look(x.Value)
			return true
		case ast.Var:
			u.read = u.read || x.Equal(ast.InputRootDocument.Value)
		case ast.Ref:
			if isInput(x) {
				u.lookAtInput(x)
				return true // its first part is the input, which alone would be all of it
			}
			if x.HasPrefix(ast.DefaultRootRef) { // data of files among them, where rulesAt finds no rule
				u.data = append(u.data, x)
				// All of data is every rule that there is: it would be a walk over the whole policy.
				u.read = u.read || len(x.GroundPrefix()) == 1
			}
		}
		return u.read // nothing more is to be found out
	}).Walk(x)
}

// lookAtInput is about a reference that begins with the input.
func (u *inputUse) lookAtInput(ref ast.Ref) {
	// The input as a whole is passed on: to a builtin, a function or a variable. Who gets it may read any field, and
	// following it there would be a data flow analysis for a yes that costs nothing.
	if len(ref) == 1 {
		u.read = true
		return
	}
	field, constant := ref[1].Value.(ast.String)
	u.read = u.read || !constant || string(field) == u.name
	for _, part := range ref[1:] { // a part may be a reference of its own
		u.look(part)
	}
}

// rulesAt are the rules that a reference may mean, hidden packages (data.system) included: a rule that is missed
// here would count as one that reads nothing.
func rulesAt(compiler *ast.Compiler, ref ast.Ref) []*ast.Rule {
	return compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true})
}

// isInput holds for input itself and all below it.
func isInput(ref ast.Ref) bool { return ref.HasPrefix(ast.InputRootRef) }
