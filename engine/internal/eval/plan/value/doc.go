// Package value holds the values that compiled plans compute with: JSON's, and sets. A [Node] is one value. Those
// of a decision come from an [Arena], which the next decision uses again; those of the data come from a [Freezer]
// and are shared by all decisions and by generations whose data are equal.
//
// # Invariants
//
//  1. Order and equality are those of package ast: [Compare] and [Equal] answer as ast.Compare does.
//  2. A node without an owner never changes, so any number of goroutines read it. A node with an owner belongs to
//     the one goroutine that uses the arena, and is sorted, indexed and taken apart when that is first needed.
//  3. Nothing that leaves an arena refers to it: [Node.Term] makes OPA's values anew, and they hold no node.
//  4. A number that float64 cannot hold has no node ([ErrNumber]): package ast compares such numbers by value and
//     hashes them by text, and no two answers about them need agree.
package value
