package parse

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// olderLayout puts the data of rego/data.json at the root where it is meant for there: installations of DefenseClaw that
// were made before the folder rego held the modules too have these beside it, and no data file. Elsewhere a folder
// of that name is one like others. A file that changes its place is another *File: what depends on files by their
// identity sees that the data changed.
func olderLayout(root string, all []*File) {
	at := slices.IndexFunc(olderData, func(name string) bool { _, ok := find(all, name); return ok })
	if root != "." || at < 0 {
		return
	}
	i, _ := find(all, olderData[at])
	atRoot := !slices.ContainsFunc(rootData, func(name string) bool { _, ok := find(all, name); return ok }) &&
		slices.ContainsFunc(all, isDefenseClaw)
	if all[i].atRoot != atRoot {
		moved := *all[i]
		moved.atRoot = atRoot
		all[i] = &moved
	}
}

var (
	rootData  = []string{"data.json", "data.yaml", "data.yml"}
	olderData = []string{"rego/data.json", "rego/data.yaml", "rego/data.yml"}
)

// find relies on the order of files, by path.
func find(all []*File, name string) (int, bool) {
	return slices.BinarySearchFunc(all, name, func(p *File, name string) int { return strings.Compare(p.Path(), name) })
}

func isDefenseClaw(p *File) bool {
	return p.Unit != nil && len(p.Unit.Path) > 1 && p.Unit.Path[1].Value.Compare(ast.String("defenseclaw")) == 0
}
