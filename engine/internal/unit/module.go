package unit

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A Key names a place under data: its parts, each followed by an end mark. With the mark, one key is a
// prefix of another exactly if its place holds the other's: lib is no prefix of library. The empty key
// is data itself.
type Key string

// Holds reports whether k is at or above other.
func (k Key) Holds(other Key) bool { return strings.HasPrefix(string(other), string(k)) }

// Overlaps reports whether one of k and other holds the other.
func (k Key) Overlaps(other Key) bool { return k.Holds(other) || other.Holds(k) }

const (
	endMark     = "\x00"
	notAString  = "\x01" // before a part that is a number, a boolean or null
	firstInPath = 1      // the part after data
)

// above calls f with every key above k, data first, k last.
func (k Key) above(f func(Key)) {
	f("")
	for i := range len(k) {
		if k[i] == endMark[0] {
			f(k[:i+1])
		}
	}
}

// KeyOf returns the key of the longest prefix of terms that consists of constants. terms are those that
// follow data in a reference. whole reports whether that prefix is all of them.
func KeyOf(terms []*ast.Term) (key Key, whole bool) {
	var b strings.Builder
	for _, t := range terms {
		switch v := t.Value.(type) {
		case ast.String:
			b.WriteString(string(v))
		case ast.Number, ast.Boolean, ast.Null:
			b.WriteString(notAString)
			b.WriteString(v.String())
		default:
			return Key(b.String()), false
		}
		b.WriteString(endMark)
	}
	return Key(b.String()), true
}

// PathKey returns the key of a path that begins with data.
func PathKey(path ast.Ref) Key {
	key, _ := KeyOf(path[firstInPath:])
	return key
}

// Ref returns the reference to the place, beginning with data. ok is false if a part is no string.
func (k Key) Ref() (ref ast.Ref, ok bool) {
	if strings.Contains(string(k), notAString) {
		return nil, false
	}
	ref = ast.Ref{ast.DefaultRootDocument}
	for left := string(k); left != ""; {
		var part string
		part, left, _ = strings.Cut(left, endMark)
		ref = append(ref, ast.StringTerm(part))
	}
	return ref, true
}

// Module is what a parsed module offers to others, and what it needs of them. It is immutable.
type Module struct {
	File    string
	Path    ast.Ref // of the package
	Name    string  // the same, as Rego writes it
	Package Key     // its place
	Syntax  *Syntax
	Rules   []Rule
	Refs    []Key // what it may refer to under data, sorted, each once, without names of its own package

	Replaced []Key // where a with of it may replace rules, of its own package too; each can be there more than once

	Builtins []string // that it calls, or puts in the place of a function by with: sorted, each once, without operators

	ReadsChain           bool // it calls rego.metadata.chain, which reads the metadata of packages above it
	DescribesSubpackages bool // it has metadata for packages below it, which such a call reads
	HasSchemas           bool // some of its metadata names or holds schemas
	Replaces             bool // it uses with, which evaluates rules of others with another document
}

// A Rule is what the source says of one rule, without its types.
type Rule struct {
	Path    Key  // up to the first part that is not a constant
	Whole   bool // every part is a constant
	General bool // a constant part follows one that is not
	Kind    ast.RuleKind
	Arity   int
	Default bool
	first   Key // the package and the first part of the rule's name
}

// HasRuleAt reports whether a rule's path is place.
func (m *Module) HasRuleAt(place Key) bool {
	return m.Package.Holds(place) && slices.ContainsFunc(m.Rules, func(r Rule) bool { return r.Path == place })
}

// Scan makes the Module of a parsed one. again parses the same text once more, see [NewSyntax]. Scan
// does not change parsed, and the caller must not change it afterwards.
func Scan(parsed *ast.Module, again func() *ast.Module) *Module {
	m := &Module{
		File: parsed.Package.Location.File, Path: parsed.Package.Path, Name: parsed.Package.Path.String(), Package: PathKey(parsed.Package.Path),
		Syntax: NewSyntax(parsed, again),
	}
	for _, rule := range parsed.Rules {
		ref := rule.Head.Ref()
		key, whole := KeyOf(ref[1:])
		name := m.Package + Key(nameOf(ref[0])+endMark)
		m.Rules = append(m.Rules, Rule{
			Path: name + key, Whole: whole, General: !whole && isGeneral(ref[1:]), first: name,
			Kind: rule.Head.RuleKind(), Arity: len(rule.Head.Args), Default: rule.Default,
		})
	}
	for _, a := range parsed.Annotations {
		m.DescribesSubpackages = m.DescribesSubpackages || a.Scope == "subpackages"
		m.HasSchemas = m.HasSchemas || len(a.Schemas) > 0
	}
	m.scanRefs(parsed)
	return m
}

func isGeneral(parts []*ast.Term) bool {
	open := false
	for _, t := range parts {
		_, constant := KeyOf([]*ast.Term{t})
		if open && constant {
			return true
		}
		open = open || !constant
	}
	return false
}

func nameOf(t *ast.Term) string {
	switch v := t.Value.(type) {
	case ast.Var:
		return string(v)
	case ast.String:
		return string(v)
	default:
		return v.String()
	}
}

// scanRefs collects the references. An imported name counts as the import even where a local variable
// hides it: that can only add a dependency.
func (m *Module) scanRefs(parsed *ast.Module) {
	imports := map[ast.Var]Key{}
	for _, imp := range parsed.Imports {
		if path, ok := imp.Path.Value.(ast.Ref); ok && path[0].Equal(ast.DefaultRootDocument) {
			imports[imp.Name()] = PathKey(path)
		}
	}
	seen := map[Key]bool{}
	add := func(key Key) {
		if !seen[key] {
			seen[key] = true
			m.Refs = append(m.Refs, key)
		}
	}
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.With:
			m.Replaces = true
			m.addReplaced(x, imports)
			m.addBuiltin(x.Value)
		case *ast.Expr:
			if terms, ok := x.Terms.([]*ast.Term); ok && len(terms) > 0 {
				m.addBuiltin(terms[0])
			}
		case ast.Call:
			m.addBuiltin(x[0])
		case ast.Var:
			if x == dataVar {
				add("")
			} else if key, ok := imports[x]; ok {
				add(key)
			}
		case ast.Ref:
			head, ok := x[0].Value.(ast.Var)
			if !ok {
				return false
			}
			m.ReadsChain = m.ReadsChain || x.HasPrefix(chainRef)
			base, imported := imports[head]
			if head == dataVar || imported {
				tail, _ := KeyOf(x[1:])
				add(base + tail)
			}
			for _, t := range x[1:] {
				visitor.Walk(t)
			}
			return true
		}
		return false
	})
	for _, rule := range parsed.Rules {
		visitor.Walk(rule)
	}
	slices.Sort(m.Refs)
	slices.Sort(m.Builtins)
}

// addReplaced adds the place that a with replaces, unless that is the input. A builtin counts as a rule of its own package
// that has the same name: a place too many, and never too few.
func (m *Module) addReplaced(with *ast.With, imports map[ast.Var]Key) {
	ref, ok := with.Target.Value.(ast.Ref)
	if !ok {
		ref = ast.Ref{with.Target}
	}
	head, ok := ref[0].Value.(ast.Var)
	if !ok || head == inputVar {
		return
	}
	base, imported := imports[head]
	if !imported && head != dataVar {
		base = m.Package + Key(string(head)+endMark)
	}
	tail, _ := KeyOf(ref[1:])
	m.Replaced = append(m.Replaced, base+tail)
}

// addBuiltin adds the builtin that an operator names, if it names one. The name is OPA's own string, which takes no memory
// for each module. A local function of that name counts as the builtin that it hides: a name too many, and never too few.
func (m *Module) addBuiltin(operator *ast.Term) {
	name := ""
	switch v := operator.Value.(type) {
	case ast.Var:
		name = string(v)
	case ast.Ref:
		if v[0].Equal(ast.DefaultRootDocument) {
			return
		}
		name = v.String()
	}
	if b := ast.BuiltinMap[name]; b != nil && b.Infix == "" && !slices.Contains(m.Builtins, b.Name) {
		m.Builtins = append(m.Builtins, b.Name)
	}
}

var (
	inputVar = ast.InputRootDocument.Value.(ast.Var)        //nolint:errcheck,forcetypeassert // OPA's constant
	dataVar  = ast.DefaultRootDocument.Value.(ast.Var)      //nolint:errcheck,forcetypeassert // OPA's constant
	chainRef = ast.MustParseRef(ast.RegoMetadataChain.Name) // rego.metadata.chain
)
