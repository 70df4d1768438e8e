package probe

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"defenseclaw/engine/review/records"

	"github.com/open-policy-agent/opa/v1/ast"
)

// SeedsOfRecords are the inputs of recorded decisions: one of each stratum, in their order.
func SeedsOfRecords(all []records.Record) []Seed {
	var seeds []Seed
	seen := map[string]bool{}
	for i := range all {
		r := &all[i]
		stratum := r.Stratum()
		if seen[stratum] || r.Input == nil {
			continue
		}
		seen[stratum] = true
		seeds = append(seeds, Seed{Path: r.Path, Input: r.Input})
	}
	return seeds
}

// SeedsOfTests are the inputs that Rego tests give by "with input as", where they are constants. Each is for the package
// that the test's package is named after. Modules are by path, parsed or compiled: see [engine.Tests].
func SeedsOfTests(modules map[string]*ast.Module) []Seed {
	var seeds []Seed
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		m := modules[name]
		path, ok := pathOf(m.Package.Path)
		if !ok {
			continue
		}
		if len(path) > 0 {
			path[len(path)-1] = strings.TrimSuffix(path[len(path)-1], "_test")
		}
		prefix := strings.Join(path, "/")
		ast.WalkWiths(m, func(w *ast.With) bool {
			if w.Target.Value.Compare(ast.InputRootRef) != 0 || !w.Value.IsGround() {
				return false
			}
			v, ok := plain(w.Value.Value)
			if !ok {
				return false // it calls or refers to something
			}
			text := textOf(v)
			if key := prefix + "\x00" + text; !seen[key] {
				seen[key] = true
				seeds = append(seeds, Seed{Path: prefix, Input: json.RawMessage(text)})
			}
			return false
		})
	}
	return seeds
}
