package probe

import (
	"slices"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// target is a document whose answers are compared.
type target struct {
	path   engine.Path // what is evaluated: a package, or one document
	answer []string    // where the path is a package: the members that callers ask for; nil: the path itself
}

const (
	maxTargets   = 40
	maxOfPackage = 80 // rules of a package that is evaluated as a whole
)

// targetsOf lists what to evaluate for the packages of an edit: the documents that somebody asks for, as far as the given
// paths tell, and in each package the rules that no other rule refers to.
func targetsOf(from, to *engine.Generation, packages []ast.Ref, asked []engine.Path) []target {
	var targets []target
	for _, ref := range packages {
		path, ok := pathOf(ref)
		if !ok || len(targets) >= maxTargets {
			continue
		}
		names := rootsOf(from, to, path)
		inner := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			document := append(slices.Clone(path), name)
			return from.Refers(document) || to.Refers(document)
		})
		if len(inner) > 0 || len(packages) > 1 {
			names = inner // what other packages refer to is seen by what they answer
		}
		for _, p := range asked {
			if len(p) == len(path)+1 && slices.Equal(p[:len(path)], path) && !slices.Contains(names, p[len(path)]) {
				names = append(names, p[len(path)])
			}
		}
		if len(names) == 0 {
			continue
		}
		if rules := rulesIn(from, path) + rulesIn(to, path); rules <= 2*maxOfPackage && !holdsPackages(to, path) && !holdsPackages(from, path) {
			targets = append(targets, target{path, names})
			continue
		}
		for _, name := range names {
			if len(targets) < maxTargets {
				targets = append(targets, target{path: append(slices.Clone(path), name)})
			}
		}
	}
	return targets
}

func pathOf(ref ast.Ref) (path engine.Path, ok bool) {
	for _, t := range ref[1:] {
		name, ok := t.Value.(ast.String)
		if !ok {
			return nil, false
		}
		path = append(path, string(name))
	}
	return path, true
}

func rulesIn(g *engine.Generation, path engine.Path) (n int) {
	for _, m := range modulesOf(g, path) {
		n += len(m.Rules)
	}
	return n
}

func modulesOf(g *engine.Generation, path engine.Path) (modules []*ast.Module) {
	for _, f := range g.Files() {
		if m := g.Module(f.Path); m != nil {
			if p, ok := pathOf(m.Package.Path); ok && slices.Equal(p, path) {
				modules = append(modules, m)
			}
		}
	}
	return modules
}

// holdsPackages reports whether other packages lie below the path.
func holdsPackages(g *engine.Generation, path engine.Path) bool {
	for _, f := range g.Files() {
		m := g.Module(f.Path)
		if m == nil {
			continue
		}
		if p, ok := pathOf(m.Package.Path); ok && len(p) > len(path) && slices.Equal(p[:len(path)], path) {
			return true
		}
	}
	return false
}

// rootsOf lists the documents of a package that no rule refers to, of both generations. Where there is none, it lists all.
func rootsOf(from, to *engine.Generation, path engine.Path) []string {
	var all, used []string
	for _, g := range []*engine.Generation{from, to} {
		for _, m := range modulesOf(g, path) {
			for _, rule := range m.Rules {
				name := nameOf(rule)
				if name != "" && len(rule.Head.Args) == 0 && !slices.Contains(all, name) {
					all = append(all, name)
				}
				used = append(used, usedBy(rule, m.Package.Path, name)...)
			}
		}
	}
	roots := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(used, name) })
	if len(roots) == 0 {
		return all
	}
	return roots
}

func nameOf(rule *ast.Rule) string {
	switch v := rule.Head.Ref()[0].Value.(type) {
	case ast.Var:
		return string(v)
	case ast.String:
		return string(v)
	}
	return ""
}

// usedBy lists the rules of a package that a rule refers to, itself left out.
func usedBy(rule *ast.Rule, pkg ast.Ref, self string) (names []string) {
	ast.WalkRefs(rule, func(ref ast.Ref) bool {
		if len(ref) > len(pkg) && ref.HasPrefix(pkg) {
			if name, ok := ref[len(pkg)].Value.(ast.String); ok && string(name) != self {
				names = append(names, string(name))
			}
		}
		return false
	})
	return names
}
