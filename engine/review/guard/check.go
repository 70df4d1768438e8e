package guard

import (
	"fmt"
	"slices"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// CodeNoSet is the code of what [Check] finds.
const CodeNoSet = "guard_no_set"

// Check finds guards that would be faults whenever they hold: rules deny, hold and warn that are true or false, and no set
// of texts or objects.
func Check(g *engine.Generation) diagnostic.List {
	var wrong diagnostic.List
	for _, f := range g.Files() {
		if f.Kind() != source.KindModule {
			continue
		}
		m := g.Module(f.Path)
		if m == nil || !m.Package.Path.HasPrefix(systemRef) {
			continue
		}
		for _, rule := range m.Rules {
			level, is := levelOf(rule)
			if !is || !alwaysBoolean(rule) {
				continue
			}
			err := ast.NewError(CodeNoSet, rule.Location, "the guard %s is true or false: a set of texts, or of objects with msg, was expected", level)
			found := diagnostic.FromOPA(ast.Errors{err}, func(string) []byte { return f.Bytes })
			found[0].Hint = fmt.Sprintf("write %s contains \"why\" if …", level)
			wrong = append(wrong, found...)
		}
	}
	return wrong.Sorted()
}

var systemRef = ast.Ref{ast.DefaultRootDocument, ast.StringTerm("system")}

// levelOf is the level of a rule that is a guard.
func levelOf(rule *ast.Rule) (Level, bool) {
	ref := rule.Ref().GroundPrefix()
	if len(ref) != len(Package())+2 || !ref[2].Equal(ast.StringTerm("reload")) {
		return "", false
	}
	name, _ := ref[3].Value.(ast.String)
	return Level(name), slices.Contains(Levels(), Level(name))
}

func alwaysBoolean(rule *ast.Rule) bool {
	if rule.Head.RuleKind() != ast.SingleValue || rule.Head.Value == nil {
		return false
	}
	_, is := rule.Head.Value.Value.(ast.Boolean)
	return is
}
