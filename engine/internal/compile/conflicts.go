package compile

import (
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
)

// conflicts lists the packages with a rule at a place where the data holds something. It finds what OPA's own
// check of a compiler's rules finds, over a tree that no compiler has seen as a whole (invariant 6). For the
// words of the error, the packages it lists are compiled again: see explain.
func conflicts(tree *ast.TreeNode, data ast.Object) []unit.Key {
	var found []unit.Key
	if root := tree.Child(ast.DefaultRootDocument.Value); root != nil {
		walkConflicts(root, data, func(rule *ast.Rule) {
			found = append(found, unit.PathKey(rule.Module.Package.Path))
		})
	}
	return found
}

// walkConflicts walks only where both have something, over the members of the smaller one: a large document
// costs nothing where there are no rules.
func walkConflicts(node *ast.TreeNode, data ast.Object, found func(*ast.Rule)) {
	visit := func(child *ast.TreeNode, v ast.Value) {
		if object, ok := v.(ast.Object); ok && len(child.Values) == 0 {
			walkConflicts(child, object, found)
			return
		}
		// The data ends here in a value, or rules do in a document: whatever rules lie at or below conflict.
		child.DepthFirst(func(n *ast.TreeNode) bool {
			for _, rule := range n.Values {
				found(rule)
			}
			return false
		})
	}
	if len(node.Children) < data.Len() {
		for key, child := range node.Children {
			if _, ok := key.(ast.String); !ok {
				continue
			}
			if t := data.Get(ast.NewTerm(key)); t != nil {
				visit(child, t.Value)
			}
		}
		return
	}
	data.Foreach(func(k, v *ast.Term) {
		if _, ok := k.Value.(ast.String); !ok {
			return
		}
		if child := node.Child(k.Value); child != nil {
			visit(child, v.Value)
		}
	})
}
