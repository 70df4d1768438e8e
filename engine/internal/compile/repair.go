package compile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Missing is what a file that does not parse may define: an error that only its absence causes is no error.
type Missing struct {
	Package ast.Ref // nil: any package
	Names   map[string]bool
}

// repair removes what errors are about, so that the compiler can go on to find others, and keeps of the errors
// only those that remain when what was removed has an unknown value. One misspelt name would otherwise be
// reported once more for each rule that refers to its rule.
type repair struct {
	modules map[string]*ast.Module
	missing []Missing
	unknown map[*ast.Rule]bool // rules that have been given an unknown value
}

// next repairs the modules for another compilation after errs. The modules that it was given do not change:
// generations share them.
func (r *repair) next(errs ast.Errors) {
	r.modules = maps.Clone(r.modules)
	type place struct {
		file string
		row  int
	}
	done := map[place]bool{} // several errors may be about one rule
	for _, e := range errs {
		if r.dropDefaults(e) || e.Location == nil || r.modules[e.Location.File] == nil {
			continue
		}
		module := *r.modules[e.Location.File]
		row, found := ruleAt(&module, e.Location.Row)
		if !found { // about an import or the package: without its imports, no rule of it has a meaning
			module.Imports, row = nil, allRows
		}
		at := place{e.Location.File, row}
		if done[at] {
			continue
		}
		done[at] = true
		names := r.makeUnknown(&module, row)
		r.modules[e.Location.File] = &module
		r.forget(module.Package.Path, names)
		if !found && len(names) > 0 {
			delete(r.modules, e.Location.File)
		}
	}
}

// allRows is the row that stands for every rule of a module.
const allRows = -1

// The code of this error is that of many others, so only its text says which it is. Should a later OPA change the
// text, the error is handled like any other.
var manyDefaults = regexp.MustCompile(`^multiple default rules \S+ found at (.+)$`)

// dropDefaults leaves the first of several default rules. OPA locates that error at the package and lists the
// rules in its text.
func (r *repair) dropDefaults(e *ast.Error) bool {
	m := manyDefaults.FindStringSubmatch(e.Message)
	if m == nil {
		return false
	}
	for _, place := range strings.Split(m[1], ", ")[1:] {
		file, text, _ := cutLast(place, ":")
		row, err := strconv.Atoi(text)
		if err != nil || r.modules[file] == nil {
			return false
		}
		module := *r.modules[file]
		module.Rules = slices.DeleteFunc(slices.Clone(module.Rules), func(rule *ast.Rule) bool {
			return rule.Default && rule.Location.Row == row
		})
		r.modules[file] = &module
	}
	return true
}

// cutLast is [strings.Cut] at the last sep: the name of a file may hold a colon, and the row follows the last.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// ruleAt returns the row of the last rule that begins at or before a row. An error is located anywhere in its rule,
// so that is the rule it is about.
func ruleAt(module *ast.Module, row int) (begins int, found bool) {
	for _, rule := range module.Rules {
		if rule.Location.Row <= row && (!found || rule.Location.Row >= begins) {
			begins, found = rule.Location.Row, true
		}
	}
	return begins, found
}

// makeUnknown gives the rules that begin at a row an unknown value. It returns the names of those that have one
// already, which did not help: their head is at fault, such as where it conflicts with another rule's.
func (r *repair) makeUnknown(module *ast.Module, row int) (atFault []string) {
	rules := make([]*ast.Rule, 0, len(module.Rules))
	for _, rule := range module.Rules {
		if row == allRows || rule.Location.Row == row {
			name := firstName(rule)
			if r.unknown[rule] || name == "input" || name == "data" { // an unknown value is the input
				atFault = append(atFault, name)
			}
			rule = unknownRule(rule)
			r.unknown[rule] = true
		}
		rules = append(rules, rule)
	}
	// A new slice: the module's own is shared with other generations (invariant 2).
	module.Rules = rules
	return atFault
}

// forget removes all rules of a package that have one of the names, and counts the names as missing.
//
// All rules of the name go, in every file: if some were left, what refers to the name would be checked against a
// part of it.
func (r *repair) forget(pkg ast.Ref, names []string) {
	if len(names) == 0 {
		return
	}
	missing := Missing{Package: pkg, Names: map[string]bool{}}
	for _, name := range names {
		missing.Names[name] = true
	}
	r.missing = append(r.missing, missing)
	for file, module := range r.modules {
		if module.Package.Path.Equal(pkg) {
			rest := *module
			rest.Rules = slices.DeleteFunc(slices.Clone(module.Rules), func(rule *ast.Rule) bool { return missing.Names[firstName(rule)] })
			r.modules[file] = &rest
		}
	}
}

// firstName is what an error about a missing name begins with, for a rule a.b.c it is a.
func firstName(rule *ast.Rule) string { return strings.Trim(rule.Head.Ref()[0].String(), `"`) }

// unknownRule is a rule of the same name, kind and arity whose value may be anything. The input is the one thing
// of which the type checker knows nothing.
func unknownRule(rule *ast.Rule) *ast.Rule {
	unknown := func() *ast.Term { return ast.NewTerm(ast.InputRootRef.Copy()).SetLocation(rule.Location) }
	// The kind and the arity stay what they are, so that callers and other rules of the name see the same signature
	// but for the type.
	copied := *rule
	head := rule.Head.Copy()
	for i := range head.Args {
		head.Args[i] = ast.VarTerm(fmt.Sprintf("unknown%d", i)).SetLocation(rule.Location)
	}
	for i := range head.Reference {
		if i > 0 && !head.Reference[i].IsGround() {
			head.Reference[i] = unknown()
		}
	}
	if last := len(head.Reference) - 1; head.Key != nil && (last < 0 || !head.Reference[last].Equal(head.Key)) {
		head.Key = unknown()
	}
	if head.Value != nil {
		head.Value = unknown()
	}
	copied.Head, copied.Else, copied.Default = head, nil, false
	copied.Body = ast.NewBody(ast.NewExpr(ast.BooleanTerm(true).SetLocation(rule.Location)).SetLocation(rule.Location))
	return &copied
}

// The two errors that a missing name can cause: OPA calls a function undefined, and a plain name, which it takes for
// a variable, unsafe. A missing rule that is referred to in full is no error, only undefined.
var (
	undefinedFunction = regexp.MustCompile(`^undefined function (\S+)$`)
	unsafeVar         = regexp.MustCompile(`^var (\S+) is unsafe$`)
)

// A body that gives input or data another meaning has one error for that, and OPA adds one for each reference in it
// that means the document.
var (
	shadowed         = regexp.MustCompile(`^variables must not shadow (input|data) `)
	undefinedInstead = regexp.MustCompile(`^undefined ref: (input|data)\b`)
)

// remaining are the errors that neither what is missing nor another error of the same rule explains.
func (r *repair) remaining(errs ast.Errors) ast.Errors {
	shadows := map[string]bool{}
	for _, e := range errs {
		if m := shadowed.FindStringSubmatch(e.Message); m != nil {
			shadows[r.ruleOf(e, m[1])] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(errs), func(e *ast.Error) bool {
		if m := undefinedInstead.FindStringSubmatch(e.Message); m != nil && shadows[r.ruleOf(e, m[1])] {
			return true
		}
		m := undefinedFunction.FindStringSubmatch(e.Message)
		if m == nil {
			m = unsafeVar.FindStringSubmatch(e.Message)
		}
		if m == nil {
			return false
		}
		return slices.ContainsFunc(r.missing, func(missing Missing) bool { return r.explains(missing, e, m[1]) })
	})
}

// ruleOf is a key for the rule that an error is about, and a name in it. An error stays if no rule stands where it says,
// since it may then be the only word about a fault.
func (r *repair) ruleOf(e *ast.Error, name string) string {
	if e.Location == nil || r.modules[e.Location.File] == nil {
		return e.Message // of no rule: equal to no other key
	}
	row, _ := ruleAt(r.modules[e.Location.File], e.Location.Row)
	return fmt.Sprintf("%s:%d:%s", e.Location.File, row, name)
}

// explains reports whether the name in an error may be one that is missing: written in full, by itself in its
// own package, or through an import, whose name OPA has replaced by what it imports.
func (r *repair) explains(missing Missing, e *ast.Error, name string) bool {
	if full, ok := strings.CutPrefix(name, "data."); ok {
		if missing.Package == nil {
			return true
		}
		rest, ok := strings.CutPrefix("data."+full, missing.Package.String()+".")
		first, _, _ := strings.Cut(rest, ".")
		return ok && missing.Names[first]
	}
	if e.Location == nil {
		return false
	}
	module := r.modules[e.Location.File]
	first, _, _ := strings.Cut(name, ".")
	return module != nil && (missing.Package == nil || module.Package.Path.Equal(missing.Package)) && missing.Names[first]
}
