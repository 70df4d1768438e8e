package compile

import (
	"maps"
	"slices"

	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
)

// treeEditor edits a rule tree that others read: it copies the nodes on the path to each change, once, and
// shares the rest. An edit so costs the depth of its places and the size of the nodes on the way, not the
// size of the tree. For one goroutine.
type treeEditor struct {
	root *ast.TreeNode

	// own has the nodes that were made here, which nothing else reads yet. The invariant: a node is written
	// only if it is in own, and whatever is above a node in own is in own, the root included. So no write
	// reaches the tree that was given, and every write is seen from root.
	//
	// The value tells whether the array of Sorted was made here, too: a copied node shares it until the first
	// change, since most copied nodes change one child and no name. Values and Index are never written, only
	// replaced, so copies share them.
	own map[*ast.TreeNode]bool
}

func newTreeEditor(root *ast.TreeNode) *treeEditor {
	e := &treeEditor{own: map[*ast.TreeNode]bool{}}
	e.root = e.copy(root)
	return e
}

// copy makes a node of ours from one that others read: every field is the same but Children, whose map is
// ours to write into.
func (e *treeEditor) copy(node *ast.TreeNode) *ast.TreeNode {
	n := &ast.TreeNode{
		Values: node.Values, Sorted: node.Sorted, Key: node.Key, External: node.External,
		Index: node.Index, Children: maps.Clone(node.Children), Hide: node.Hide,
	}
	e.own[n] = false
	return n
}

func (e *treeEditor) owns(node *ast.TreeNode) bool {
	_, ok := e.own[node]
	return ok
}

// sorted returns node.Sorted to be changed.
func (e *treeEditor) sorted(node *ast.TreeNode) []ast.Value {
	if !e.own[node] {
		e.own[node] = true
		return slices.Clone(node.Sorted)
	}
	return node.Sorted
}

// at returns the node at path to be changed. If there is none, it is made with create, and nil without. It
// takes the nodes on the way into own, from the root down, which keeps the invariant.
func (e *treeEditor) at(path ast.Ref, create bool) *ast.TreeNode {
	node := e.root
	for i, part := range path {
		child := node.Child(part.Value)
		switch {
		case child == nil && !create:
			return nil
		case child == nil:
			child = &ast.TreeNode{Key: part.Value, Hide: i == 1 && ast.SystemDocumentKey.Compare(part.Value) == 0}
			e.own[child] = true
			at, _ := slices.BinarySearchFunc(node.Sorted, part.Value, ast.Value.Compare)
			node.Sorted = slices.Insert(e.sorted(node), at, part.Value)
		case !e.owns(child):
			child = e.copy(child)
		}
		if node.Children == nil {
			node.Children = map[ast.Value]*ast.TreeNode{}
		}
		node.Children[part.Value] = child
		node = child
	}
	return node
}

// remove removes a package's rules and leaves their nodes to prune. A place holds rules of one package only:
// packages that could share one are entangled, and are in the same splice.
func (e *treeEditor) remove(p *compiledPackage) {
	if p == nil {
		return
	}
	for _, export := range p.exports {
		if node := e.at(export.ref, false); node != nil {
			node.Values, node.Index = nil, nil
		}
	}
}

// add adds a package's rules, with their indices, from the tree of the compiler that compiled it.
func (e *treeEditor) add(p *unit.Package, c *compiledPackage, from *ast.TreeNode) {
	for _, export := range c.exports {
		compiled := from.Find(export.ref)
		node := e.at(export.ref, true)
		node.Values, node.Index = compiled.Values, compiled.Index
	}
	if p.Bare() {
		e.at(p.Modules[0].Path, true) // as OPA's own tree: data.p of an empty package p is an object
	}
}

// prune removes the nodes that only removed rules needed. An empty node would make a document defined.
func (e *treeEditor) prune(graph *unit.Graph, before *compiledPackage) {
	if before == nil {
		return
	}
	for _, export := range before.exports {
		e.pruneAt(graph, export.ref)
	}
	for _, module := range before.modules {
		e.pruneAt(graph, module.Package.Path)
	}
}

// pruneAt removes empty nodes from path upwards, and stops at the first that something else needs: rules, a
// node below, or a package without rules, which is an empty object (see add).
func (e *treeEditor) pruneAt(graph *unit.Graph, path ast.Ref) {
	for ; len(path) > 0; path = path[:len(path)-1] {
		node := e.root.Find(path)
		if node == nil {
			continue
		}
		if len(node.Values) > 0 || len(node.Children) > 0 || node.External != nil {
			return
		}
		if graph.Package(unit.PathKey(path)).Bare() {
			return
		}
		parent, key := e.at(path[:len(path)-1], false), path[len(path)-1].Value
		delete(parent.Children, key)
		parent.Sorted = slices.DeleteFunc(e.sorted(parent), func(v ast.Value) bool { return v.Compare(key) == 0 })
	}
}
