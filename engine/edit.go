package engine

import (
	"slices"

	"defenseclaw/engine/internal/compile"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/store"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// edit is the difference between the files of two generations. An altered file is in both lists.
type edit struct{ removed, added []*parse.File }

// editSince compares files by identity: unchanged ones were not parsed again.
func editSince(before, all []*parse.File) edit {
	if before == nil {
		return edit{added: all}
	}
	var e edit
	source.EachPair(before, all, (*parse.File).Path, func(old, now *parse.File) {
		if old == now {
			return
		}
		if old != nil {
			e.removed = append(e.removed, old)
		}
		if now != nil {
			e.added = append(e.added, now)
		}
	})
	return e
}

func (e edit) touchesData() bool {
	isData := func(p *parse.File) bool { return p.Data != nil }
	return slices.ContainsFunc(e.removed, isData) || slices.ContainsFunc(e.added, isData)
}

// forCompile is the edit as the compiler takes it.
func (e edit) forCompile(data *store.Store) compile.Edit {
	var missing []compile.Missing
	for _, p := range e.added { // files that were there before parse
		if p.IsBrokenModule() {
			pkg, names := p.MayDefine()
			missing = append(missing, compile.Missing{Package: pkg, Names: names})
		}
	}
	return compile.Edit{
		Removed: unitsOf(e.removed), Added: unitsOf(e.added),
		Data: data, DataChanged: e.touchesData(), Missing: missing,
	}
}

func unitsOf(files []*parse.File) []*unit.Module {
	var units []*unit.Module
	for _, p := range files {
		if p.Unit != nil {
			units = append(units, p.Unit)
		}
	}
	return units
}

// modulesOf is the syntax of the files that are modules, by path.
func modulesOf(files []*parse.File) map[string]*ast.Module {
	modules := make(map[string]*ast.Module, len(files))
	for _, p := range files {
		if p.Unit != nil {
			modules[p.Path()] = p.Module()
		}
	}
	return modules
}
