package repl

import (
	"maps"
	"slices"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Complete lists what the word before pos can become, sorted, and where the word begins. pos is a number of bytes of line.
func (s *Session) Complete(line string, pos int) (candidates []string, start int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start = pos
	for start > 0 && isWordByte(line[start-1]) {
		start--
	}
	word, all := line[start:pos], map[string]bool{}
	offer := func(name string) {
		if strings.HasPrefix(name, word) && name != word {
			all[name] = true
		}
	}
	if strings.Contains(word, ".") {
		s.below(word, offer)
	} else {
		offer("data.")
		offer("input")
		s.names(offer)
		if strings.TrimSpace(line[:start]) == "" {
			for name := range commands {
				offer(name)
			}
		}
	}
	for _, b := range ast.Builtins {
		if b.Infix == "" && !strings.HasPrefix(b.Name, "internal.") && !b.IsDeprecated() && !engine.RefusesBuiltin(b.Name) {
			offer(b.Name + "(")
		}
	}
	return slices.Sorted(maps.Keys(all)), start
}

func isWordByte(c byte) bool {
	return c == '.' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// names offers the rules of the package and the imports.
func (s *Session) names(offer func(string)) {
	for _, i := range s.imports {
		if found, err := ast.ParseImports("import " + i); err == nil && len(found) == 1 {
			offer(string(found[0].Name()))
		}
	}
	for _, p := range s.with.Outline() {
		if p.Path == "data."+s.packageOrOwn() {
			for _, r := range p.Rules {
				offer(called(r))
			}
		}
	}
}

func called(r engine.Rule) string {
	if r.Kind == engine.RuleFunction {
		return r.Name + "("
	}
	return r.Name
}

// below offers what lies one level below the part of word before its last dot.
func (s *Session) below(word string, offer func(string)) {
	parent := word[:strings.LastIndexByte(word, '.')]
	parts := strings.Split(s.imported(parent), ".")
	level := func(path string) { // the part of path after the parent
		if rest, ok := strings.CutPrefix(path, strings.Join(parts, ".")+"."); ok {
			name, _, more := strings.Cut(rest, ".")
			if more {
				name += "."
			}
			offer(parent + "." + name)
		}
	}
	if parts[0] == "data" {
		for _, p := range s.with.Outline() {
			for _, r := range p.Rules {
				level(p.Path + "." + called(r))
			}
		}
	}
	var root ast.Value
	switch parts[0] {
	case "data":
		root = s.with.Data()
	case "input":
		root = s.input
	}
	if root == nil {
		return
	}
	ref := make(ast.Ref, 0, len(parts)-1)
	for _, key := range parts[1:] {
		ref = append(ref, ast.StringTerm(key))
	}
	root, err := root.Find(ref)
	if err != nil {
		return // there is no such part
	}
	if object, ok := root.(ast.Object); ok {
		object.Foreach(func(key, value *ast.Term) {
			name, ok := key.Value.(ast.String)
			if !ok || !ast.IsVarCompatibleString(string(name)) {
				return
			}
			if o, isObject := value.Value.(ast.Object); isObject && o.Len() > 0 {
				offer(parent + "." + string(name) + ".")
				return
			}
			offer(parent + "." + string(name))
		})
	}
}

// imported is a path with the name of an import, which it may begin with, replaced by what is imported.
func (s *Session) imported(path string) string {
	first, rest, more := strings.Cut(path, ".")
	for _, i := range s.imports {
		found, err := ast.ParseImports("import " + i)
		if err == nil && len(found) == 1 && string(found[0].Name()) == first {
			path = found[0].Path.String()
			if more {
				path += "." + rest
			}
			return path
		}
	}
	return path
}
