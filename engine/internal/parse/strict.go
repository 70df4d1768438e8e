package parse

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/dialect"

	"github.com/open-policy-agent/opa/v1/ast"
)

// strictKinds are the errors that OPA's strict mode adds to those that Rego v1 always has, by the text of their messages:
// OPA's errors carry no finer codes. TestStrictFindsWhatOPADoes compares with OPA's compiler, so that a new text is noticed.
var strictKinds = []struct {
	pattern *regexp.Regexp
	code    string
}{
	{regexp.MustCompile(`^import .* unused$`), diagnostic.CodeUnusedImport},
	{regexp.MustCompile(`^assigned var .* unused$`), diagnostic.CodeUnusedVariable},
	{regexp.MustCompile(`^unused argument `), diagnostic.CodeUnusedArgument},
}

// strict is what strict mode finds in one module, once somebody has asked. Generations share it with the file.
type strict struct {
	once  sync.Once
	found diagnostic.List
}

// Strict is what OPA's strict mode finds in the module, sorted; nothing in a file that is no module or does not parse. It
// is found at the first call, which takes about as long as parsing the module, and kept. Safe for concurrent use.
func (p *File) Strict() diagnostic.List {
	if p.strict == nil {
		return nil
	}
	p.strict.once.Do(func() { p.strict.found = Strict(p.Path(), p.Module(), p.Source.Bytes) })
	return p.strict.found
}

// Strict is what OPA's strict mode finds in a module by itself, sorted. The module is not changed. No other module can
// change what it finds: an import hides a rule of the same name, and what a rule declares hides both.
func Strict(file string, module *ast.Module, text []byte) diagnostic.List {
	compiler := dialect.NewStrictCompiler()
	compiler.Compile(map[string]*ast.Module{file: module})
	var found diagnostic.List
	for _, d := range diagnostic.FromOPA(compiler.Errors, func(string) []byte { return text }) {
		for _, kind := range strictKinds {
			if kind.pattern.MatchString(d.Message) {
				d.Code, d.Message = kind.code, strings.TrimSuffix(d.Message, ".")
				d.Hint = strictHint(d)
				found = append(found, d)
				break
			}
		}
	}
	return slices.Clip(found.Sorted())
}

func strictHint(d diagnostic.Diagnostic) string {
	switch d.Code {
	case diagnostic.CodeUnusedImport:
		return "remove the import, or use it"
	case diagnostic.CodeUnusedVariable:
		return "remove the assignment, or use the variable; to ignore a value, assign it to _"
	default:
		return d.Hint
	}
}
