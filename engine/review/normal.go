package review

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Normal is the text of a compiled rule without what does not matter to its meaning: places, comments, format, metadata,
// and the names of local variables and imports. Two rules with the same text at the same path mean the same. The
// reverse does not hold: two that mean the same may have different texts.
//
// The compiler has replaced imports and names of the package by whole references, and variables that are declared by
// generated ones. It numbers those in the order of a module, so they are numbered anew here.
func Normal(rule *ast.Rule) string {
	copied := rule.Copy()
	copied.Annotations = nil
	for r := copied; r != nil; r = r.Else {
		r.Annotations = nil
		r.Head.Assign = true // p = 1 and p := 1 are one rule
	}
	renamed := numbered(variablesOf(copied))
	rename(copied, func(v ast.Var) (ast.Value, error) {
		if now, ok := renamed[v]; ok {
			return now, nil
		}
		return v, nil
	})
	return copied.String()
}

// variablesOf lists the variables of a rule, each once, in the order in which they appear: roots of documents and names of
// functions are none.
func variablesOf(rule *ast.Rule) []ast.Var {
	var found []ast.Var
	functions := map[ast.Var]bool{}
	seen := map[ast.Var]bool{}
	operator := func(t *ast.Term) {
		switch v := t.Value.(type) {
		case ast.Ref:
			if head, ok := v[0].Value.(ast.Var); ok {
				functions[head] = true
			}
		case ast.Var:
			functions[v] = true
		}
	}
	visitor := ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Expr:
			if terms, ok := x.Terms.([]*ast.Term); ok && len(terms) > 0 {
				operator(terms[0])
			}
		case ast.Call:
			operator(x[0])
		case *ast.With:
			for _, t := range []*ast.Term{x.Target, x.Value} {
				if ast.BuiltinMap[t.Value.String()] != nil {
					operator(t)
				}
			}
		case ast.Var:
			if !functions[x] && !seen[x] && !ast.RootDocumentNames.Contains(ast.NewTerm(x)) {
				seen[x] = true
				found = append(found, x)
			}
		}
		return false
	})
	eachPart(rule, func(part any) any { visitor.Walk(part); return part })
	return found
}

// numbered maps variables to new names. Generated ones keep the order of their numbers, in which the compiler came to
// them: the order of appearance is no order in a set, which is sorted by the names themselves.
func numbered(variables []ast.Var) map[ast.Var]ast.Var {
	slices.SortStableFunc(variables, func(a, b ast.Var) int { return cmp.Compare(generated(a), generated(b)) })
	renamed := make(map[ast.Var]ast.Var, len(variables))
	for i, v := range variables {
		renamed[v] = ast.Var(fmt.Sprintf("v%04d", i)) // of one width, so that names sort as their numbers do
	}
	return renamed
}

// generated is the number of a variable that the compiler or the parser named, -1 for one of the author's.
func generated(v ast.Var) int {
	digits, ok := strings.CutPrefix(string(v), "__local")
	if !ok {
		if digits, ok = strings.CutPrefix(string(v), ast.WildcardPrefix); !ok {
			return -1
		}
		const afterLocals = 1 << 30
		if n, err := strconv.Atoi(digits); err == nil {
			return afterLocals + n
		}
		return -1
	}
	if n, err := strconv.Atoi(strings.TrimRight(digits, "_")); err == nil {
		return n
	}
	return -1
}

func rename(rule *ast.Rule, to func(ast.Var) (ast.Value, error)) {
	eachPart(rule, func(part any) any {
		if changed, err := ast.TransformVars(part, to); err == nil {
			return changed
		}
		return part // it keeps its names: a change too many, and never too few
	})
}

// eachPart replaces the parts of a rule that may hold variables by what f returns for them: all but its name.
func eachPart(rule *ast.Rule, f func(part any) any) {
	term := func(t *ast.Term) *ast.Term {
		if t == nil {
			return nil
		}
		if now, ok := f(t.Value).(ast.Value); ok {
			return ast.NewTerm(now)
		}
		return t
	}
	for r := rule; r != nil; r = r.Else {
		for i := range r.Head.Args {
			r.Head.Args[i] = term(r.Head.Args[i])
		}
		for i := 1; i < len(r.Head.Reference); i++ {
			r.Head.Reference[i] = term(r.Head.Reference[i])
		}
		r.Head.Key, r.Head.Value = term(r.Head.Key), term(r.Head.Value)
		if now, ok := f(r.Body).(ast.Body); ok {
			r.Body = now
		}
	}
}
