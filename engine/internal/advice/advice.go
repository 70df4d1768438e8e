// Package advice adds to diagnostics what their author may have meant, and where the other place of a conflict
// is. It sees all files of an attempt; OPA's errors see one at a time.
package advice

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/parse"

	"github.com/agnivade/levenshtein"
	"github.com/open-policy-agent/opa/v1/ast"
)

type advisor struct {
	all    []*parse.File // sound ones and others
	source func(file string) []byte
}

// advice is found by the text of OPA's messages: its errors carry no finer codes. If OPA changes a text, the
// hint is lost and the error is not.
var advice = []struct {
	pattern func() *regexp.Regexp
	give    func(a *advisor, d *diagnostic.Diagnostic, m []string)
}{
	{expression("^`if` keyword is required before"), func(_ *advisor, d *diagnostic.Diagnostic, _ []string) { d.Hint = inVersion1(d.Text) }},
	{expression("^`contains` keyword is required"), func(_ *advisor, d *diagnostic.Diagnostic, _ []string) { d.Hint = inVersion1(d.Text) }},
	{expression(`cannot be used for rule name$|^package expected$`), (*advisor).misspeltKeyword},
	{expression(`^unexpected keyword, must be one of`), (*advisor).futureKeyword},
	{expression(`^undefined function (\S+)`), (*advisor).undefinedFunction},
	{expression(`^var (\S+) is unsafe`), (*advisor).unsafeVar},
	{expression(`^deprecated built-in function calls in expression: (.+)`), deprecated},
	{expression(`^unsafe built-in function calls in expression: (.+)`), func(_ *advisor, d *diagnostic.Diagnostic, _ []string) {
		d.Hint = "a decision depends on policy, data and input alone: let the caller look it up and hand it in as input"
	}},
	{expression(`^multiple default rules (\S+) found`), (*advisor).manyDefaults},
	{expression(`^conflicting rules (\S+) found`), (*advisor).conflictingRules},
	{expression(`^function (data\.\S+) has arity`), (*advisor).wrongArity},
	{expression(`^conflicting rule for data path (\S+) found`), (*advisor).ruleAndData},
	{expression(`^package (\S+) conflicts with rule`), (*advisor).packageAndRule},
	{expression(`^rule \S+ conflicts with`), func(_ *advisor, d *diagnostic.Diagnostic, _ []string) {
		d.Hint = "what has a value of its own can have nothing below it: rename one of them"
	}},
	{expression(`^rule \S+ is recursive`), func(_ *advisor, d *diagnostic.Diagnostic, _ []string) {
		d.Hint = "Rego has no recursion: break the circle, or walk a nested value with graph.reachable or walk"
	}},
	{expression(`^var (\S+) (declared|assigned|referenced) above`), (*advisor).twice},
	{expression(`^rules must not shadow (\S+)`), func(_ *advisor, d *diagnostic.Diagnostic, m []string) {
		d.Hint = m[1] + " is what every rule reads; give the rule another name"
	}},
	{expression(`^unexpected eof token|^the JSON ends in the middle`), func(_ *advisor, d *diagnostic.Diagnostic, _ []string) {
		d.Hint = "something before it is not closed: a bracket, a brace or a string"
	}},
	{expression(`^not JSON: `), func(_ *advisor, d *diagnostic.Diagnostic, _ []string) { d.Hint = jsonHint(d) }},
}

// expression is a regular expression that is compiled when it is needed first: most processes see no error.
func expression(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// maxAdvised bounds the diagnostics that get advice. Each looks at every name of its package, so that all of a file
// with an error in each of 20,000 lines took half a minute; no author reads that many before the next edit.
const maxAdvised = 500

// Add adds hints and other places to the first 500 diagnostics, in place, and returns all of them. files are all files
// of the attempt, broken ones included; source returns the bytes of one.
func Add(ds diagnostic.List, files []*parse.File, source func(file string) []byte) diagnostic.List {
	a := &advisor{all: files, source: source}
	for i := range ds[:min(len(ds), maxAdvised)] {
		for _, rule := range advice {
			if m := rule.pattern().FindStringSubmatch(ds[i].Message); m != nil {
				rule.give(a, &ds[i], m)
				break
			}
		}
	}
	return ds
}

var (
	setHead  = expression(`^(\s*[\w.]+)\[(.+?)\]\s*\{`)
	ruleHead = expression(`^(\s*[^{]*[^{\s])\s*\{`)
)

// inVersion1 rewrites the line of a v0 rule as Rego v1 writes it.
func inVersion1(line string) string {
	if m := setHead().FindStringSubmatchIndex(line); m != nil {
		return "in Rego v1: " + strings.TrimSpace(line[:m[3]]+" contains "+line[m[4]:m[5]]+" if {"+line[m[1]:])
	}
	if m := ruleHead().FindStringSubmatchIndex(line); m != nil {
		return "in Rego v1: " + strings.TrimSpace(line[:m[3]]+" if {"+line[m[1]:])
	}
	return "Rego v1 writes a rule as `name if { … }` and a set's as `name contains value if { … }`"
}

var statements = []string{"package", "import", "default", "else"}

func (a *advisor) misspeltKeyword(d *diagnostic.Diagnostic, _ []string) {
	word, _, _ := strings.Cut(strings.TrimSpace(d.Text), " ")
	if near := Nearest(word, statements); near != "" && near != word {
		d.Hint = didYouMean(near)
	} else if d.Message == "package expected" {
		d.Hint = "a module begins with its package, such as `package example`"
	}
}

func (a *advisor) futureKeyword(d *diagnostic.Diagnostic, _ []string) {
	d.Hint = "Rego v1 has these keywords without an import: leave the line out"
}

func (a *advisor) undefinedFunction(d *diagnostic.Diagnostic, m []string) {
	var names []string
	for _, b := range ast.Builtins {
		if !b.IsDeprecated() && b.Infix == "" && !strings.HasPrefix(b.Name, "internal.") {
			names = append(names, b.Name)
		}
	}
	own := a.module(d.File)
	var imports []*ast.Import
	if own != nil {
		imports = own.Module().Imports
	}
	for _, p := range a.modules() {
		for _, rule := range p.Unit.Rules {
			if rule.Arity == 0 {
				continue
			}
			if ref, ok := rule.Path.Ref(); ok {
				names = append(append(names, ref.String()), imported(imports, ref)...)
			}
		}
		if samePackage(p, own) {
			for _, rule := range p.Module().Rules {
				if len(rule.Head.Args) > 0 {
					names = append(names, rule.Head.Ref().String())
				}
			}
		}
	}
	if near := Nearest(m[1], names); near != "" && near != m[1] {
		d.Hint = didYouMean(near)
	}
}

// imported are the names that the imports give to what is at ref.
func imported(imports []*ast.Import, ref ast.Ref) []string {
	var names []string
	for _, i := range imports {
		if from, ok := i.Path.Value.(ast.Ref); ok && ref.HasPrefix(from) {
			names = append(names, string(i.Name())+strings.TrimPrefix(ref.String(), from.String()))
		}
	}
	return names
}

func (a *advisor) unsafeVar(d *diagnostic.Diagnostic, m []string) {
	own := a.module(d.File)
	if own == nil {
		return
	}
	names := []string{"input", "data"}
	for _, p := range a.modules() {
		if samePackage(p, own) {
			for _, rule := range p.Module().Rules {
				names = append(names, rule.Head.Ref()[0].String())
			}
		}
	}
	for _, i := range own.Module().Imports {
		names = append(names, string(i.Name()))
	}
	if near := Nearest(m[1], names); near != "" && near != m[1] {
		d.Hint = didYouMean(near)
		return
	}
	if !slices.ContainsFunc(a.all, (*parse.File).IsBrokenModule) {
		d.Hint = fmt.Sprintf("no rule of %s and no import is named %s, and nothing here gives it a value", own.Module().Package, m[1])
	}
}

// instead are the builtins that Rego v1 no longer takes, and what does their work.
var instead = map[string]string{
	"any": "`some x in xs; x`, or `true in xs`", "all": "`every x in xs { x }`",
	"re_match": "regex.match", "net.cidr_overlap": "net.cidr_contains", "set_diff": "the operator `-`",
	"cast_array": "a comprehension, `[x | some x in xs]`", "cast_set": "a comprehension, `{x | some x in xs}`",
	"cast_string": "is_string", "cast_boolean": "is_boolean", "cast_null": "is_null", "cast_object": "is_object",
}

func deprecated(_ *advisor, d *diagnostic.Diagnostic, m []string) {
	if better := instead[m[1]]; better != "" {
		d.Hint = "Rego v1 has no " + m[1] + ": use " + better
	}
}

// twice names the line above that the message speaks of, where the text shows it.
func (a *advisor) twice(d *diagnostic.Diagnostic, m []string) {
	d.Hint = "a variable has one value: use `==` to compare, or another name"
	word := regexp.MustCompile(`\b` + regexp.QuoteMeta(m[1]) + `\b`)
	if place := word.FindStringIndex(d.Text); place != nil && place[0]+1 < d.Column {
		d.Details = append(d.Details, fmt.Sprintf("%s:%d:%d: %s above", d.File, d.Line, place[0]+1, m[2]))
	}
}

func jsonHint(d *diagnostic.Diagnostic) string {
	if d.Column < 1 || d.Column > len(d.Text) {
		return ""
	}
	before := strings.TrimSpace(d.Text[:d.Column-1])
	switch c := d.Text[d.Column-1]; {
	case (c == '}' || c == ']') && (before == "" || strings.HasSuffix(before, ",")):
		return "JSON allows no comma after the last member: remove it"
	case c == '\'':
		return "JSON writes strings in double quotes"
	case c == '/' || c == '#':
		return "JSON has no comments; a data.yaml has"
	case c == '"':
		return "a comma or a colon is missing before it"
	default:
		return ""
	}
}

// Nearest is the candidate that a misspelt name most likely stands for; empty when none is near.
func Nearest(name string, candidates []string) string {
	best, least := "", 1+max(1, min(3, len(name)/3))
	slices.Sort(candidates)
	for _, c := range candidates {
		distance := levenshtein.ComputeDistance(name, c)
		if transposed(name, c) {
			distance = 1 // the most common slip, which counts as two edits there
		}
		if distance < least {
			best, least = c, distance
		}
	}
	return best
}

// transposed reports whether two names differ by the order of two neighbouring letters.
func transposed(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

func didYouMean(name string) string { return fmt.Sprintf("did you mean %s?", name) }
