package engine

import (
	"strings"

	"defenseclaw/engine/internal/advice"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Bounds of what [Generation.Nearest] compares, so that a request with a path that nobody wrote stays cheap.
const (
	maxNearNames = 256 // of the rules and packages beside the part of a path that is not there
	maxNearBytes = 64  // of a name
)

// Nearest is the path of a rule or package that was most likely meant by a path at which there is nothing, and nil where none
// is near: parts written as Rego or a generated client joins them, as in app.allow, or a part that is misspelt. It names rules
// and packages, and never a key of data. It looks at the names beside the first part that is not there, at most 256, so
// it costs tens of microseconds.
func (g *Generation) Nearest(path Path) Path {
	parts := path.respelt()
	if len(parts) == 0 || len(parts) > maxNearNames {
		return nil
	}
	if g.ruled(parts) {
		return parts
	}
	if near := g.nearest(path); near != nil {
		return near
	}
	return g.nearest(parts)
}

// respelt is a path without data at its beginning, and with the parts that dots and slashes separate.
func (p Path) respelt() Path {
	parts := strings.FieldsFunc(strings.Join(p, "/"), func(r rune) bool { return r == '/' || r == '.' })
	if len(parts) > 1 && parts[0] == "data" {
		parts = parts[1:]
	}
	return parts
}

// nearest is Nearest of a path whose first part that is not there is misspelt.
func (g *Generation) nearest(path Path) Path {
	node := g.policy.Compiler().RuleTree.Child(ast.DefaultRootDocument.Value)
	for i, name := range path {
		if node == nil {
			return nil
		}
		if next := node.Child(ast.String(name)); next != nil {
			node = next
			continue
		}
		near := nearName(node, name)
		if near == "" {
			return nil
		}
		meant := append(append(path[:i:i], near), path[i+1:]...)
		if g.ruled(meant) {
			return meant
		}
		return meant[:i+1]
	}
	return nil
}

// ruled reports whether there is a rule or a package at path, or a rule that makes a document that it is a part of.
func (g *Generation) ruled(path Path) bool {
	return g.HasRules(path) || g.policy.Compiler().RuleTree.Find(path.ref()) != nil
}

// nearName is the name below node that is most like a name; empty where none is.
func nearName(node *ast.TreeNode, name string) string {
	if len(node.Children) > maxNearNames || len(name) > maxNearBytes {
		return ""
	}
	names := make([]string, 0, len(node.Children))
	for key := range node.Children {
		if s, ok := key.(ast.String); ok && len(s) <= maxNearBytes {
			names = append(names, string(s))
		}
	}
	return advice.Nearest(name, names)
}
