package builtins

import (
	"errors"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

const (
	// maxWord bounds what is parsed by a grammar that backtracks, or is a name or a number.
	maxWord = 1000
	// maxSource bounds the bytes of a document in one text that is checked further: a token, a request.
	maxSource = 1 << 20
	// maxPrivateKey bounds the bytes of a private key: to sign takes the third power of its length.
	maxPrivateKey = 16 << 10
	// maxNesting bounds the brackets in source texts, whose parsers recurse with large frames, and whose
	// trees are written as JSON with several levels for each.
	maxNesting = 200
	// maxLine bounds a line of Rego: OPA's parser gives each of its errors a copy.
	maxLine = 4 << 10
	// maxLevels bounds the levels of the tree of a Rego text; an operator has two.
	maxLevels = 150
	// maxOperators bounds the operators of a Rego text.
	maxOperators = 5000
	// maxFields and maxSpreads bound the words and the uses of fragments of a GraphQL query: validation
	// compares every two fields with the same name, once for each way that fragments lead to them.
	maxFields  = 1000
	maxSpreads = 100
	// maxYAML bounds a YAML text, of which two bytes may be a value.
	maxYAML = 1 << 20
)

// smallValues is [small] with another limit for the values.
func smallValues(limit int) guard {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term) error {
		m := meter{cancel: bctx.Cancel}
		for _, o := range operands {
			if err := m.visit(o, 0); err != nil {
				return err
			}
		}
		if m.values > limit {
			return tooLarge("an operand", "values", limit)
		}
		return nil
	}
}

// words is the guard of builtins that parse words.
func words(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	return smallText(maxWord)(bctx, operands)
}

// smallText is [small] with a limit for each operand that is a text.
func smallText(limit int) guard {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term) error {
		for i := range operands {
			if len(stringOf(operands, i)) > limit {
				return tooLarge("an operand", "bytes", limit)
			}
		}
		m := meter{cancel: bctx.Cancel}
		for _, o := range operands {
			if err := m.visit(o, 0); err != nil {
				return err
			}
		}
		if m.bytes > 2*limit {
			return tooLarge("the operands", "bytes", 2*limit)
		}
		return nil
	}
}

// guardToken bounds a token by maxSource, and what it is verified with by MaxPattern.
func guardToken(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if len(stringOf(operands, 1)) > MaxPattern {
		return tooLarge("the key", "bytes", MaxPattern)
	}
	if len(operands) > 1 {
		if o, ok := operands[1].Value.(ast.Object); ok {
			if err := smallText(MaxPattern)(bctx, []*ast.Term{ast.NewTerm(o)}); err != nil {
				return err
			}
		}
	}
	return smallText(maxSource)(bctx, operands)
}

// guardSource is the guard of builtins that parse a language with brackets.
func guardSource(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	for i := range operands {
		text := stringOf(operands, i)
		if len(text) > MaxPattern {
			return tooLarge("a source text", "bytes", MaxPattern)
		}
		depth := 0
		for _, b := range []byte(text) {
			switch b {
			case '(', '[', '{':
				if depth++; depth > maxNesting {
					return tooLarge("a source text", "brackets in each other", maxNesting)
				}
			case ')', ']', '}':
				depth--
			}
		}
	}
	return smallText(MaxPattern)(bctx, operands)
}

// guardRego bounds the depth of the module that a text is, in whose square OPA writes it as JSON.
func guardRego(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if err := guardSource(bctx, operands); err != nil {
		return err
	}
	text := stringOf(operands, 1)
	for line := range strings.Lines(text) {
		if len(line) > maxLine {
			return tooLarge("a line", "bytes", maxLine)
		}
	}
	if punctuation(text, "+-*/%&|<>=") > maxOperators {
		return tooLarge("a source text", "operators", maxOperators)
	}
	module, err := ast.ParseModule("", text)
	if err != nil {
		return nil // OPA's error says more
	}
	depth, deepest := 0, 0
	ast.NewBeforeAfterVisitor(
		func(any) bool {
			depth++
			deepest = max(deepest, depth)
			return false
		},
		func(any) { depth-- },
	).Walk(module)
	if deepest > maxLevels {
		return tooLarge("a source text", "levels", maxLevels)
	}
	return nil
}

// guardGraphQL is the guard of builtins that validate a query, their first operand, by a schema.
func guardGraphQL(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if o, ok := operands[0].Value.(ast.Object); ok {
		m := meter{cancel: bctx.Cancel}
		if err := m.visit(ast.NewTerm(o), 0); err != nil {
			return err
		}
		if m.values > 20*maxFields {
			return tooLarge("the query", "values", 20*maxFields)
		}
	}
	query := stringOf(operands, 0)
	words := strings.FieldsFunc(query, func(r rune) bool { return strings.ContainsRune(" \t\r\n{}(),:", r) })
	if len(words) > maxFields {
		return tooLarge("the query", "words", maxFields)
	}
	if strings.Count(query, "...") > maxSpreads {
		return tooLarge("the query", "fragments", maxSpreads)
	}
	return guardSource(bctx, operands)
}

// guardJSON bounds the values that a JSON text may have, by its punctuation.
func guardJSON(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if err := small(bctx, operands); err != nil {
		return err
	}
	if text := stringOf(operands, 0); len(text) > MaxValues && punctuation(text, ",[{") > MaxValues {
		return tooLarge("the text", "values", MaxValues)
	}
	return nil
}

func punctuation(text, of string) int {
	n := 0
	for i := range len(of) {
		n += strings.Count(text, of[i:i+1])
	}
	return n
}

func guardQuery(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if err := small(bctx, operands); err != nil {
		return err
	}
	if strings.Count(stringOf(operands, 0), "&") > MaxValues/8 {
		return tooLarge("the text", "parameters", MaxValues/8)
	}
	return nil
}

// guardYAML counts a YAML text's values with each alias replaced by what it stands for.
func guardYAML(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	text := stringOf(operands, 0)
	if len(text) > maxYAML {
		return tooLarge("the text", "bytes", maxYAML)
	}
	if !strings.Contains(text, "*") || !strings.Contains(text, "&") {
		return nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil //nolint:nilerr // OPA's error says more
	}
	e := expansion{}
	return e.visit(bctx, &document, 0)
}

type expansion struct{ values, bytes int }

func (e *expansion) visit(bctx topdown.BuiltinContext, n *yaml.Node, depth int) error {
	if e.values++; e.values%valuesPerLook == 0 && cancelled(bctx) {
		return errCancelled
	}
	switch e.bytes += len(n.Value); {
	case depth > MaxDepth:
		return tooLarge("the text", "levels", MaxDepth)
	case e.values > MaxValues:
		return tooLarge("the text", "values with its aliases", MaxValues)
	case e.bytes > MaxBytes:
		return tooLarge("the text", "bytes with its aliases", MaxBytes)
	}
	if n.Kind == yaml.AliasNode {
		return e.visit(bctx, n.Alias, depth+1)
	}
	for _, part := range n.Content {
		if err := e.visit(bctx, part, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// guardIndent counts the text that an indentation adds.
func guardIndent(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	m := meter{cancel: bctx.Cancel}
	if err := m.visit(operands[0], 0); err != nil {
		return err
	}
	if err := small(bctx, operands[1:]); err != nil {
		return err
	}
	indent := 1
	each(operands[1].Value, func(t *ast.Term) {
		if s, ok := t.Value.(ast.String); ok {
			indent += len(s)
		}
	})
	if (m.values+1)*(m.deepest+1)*indent > 4*MaxBytes {
		return tooLarge("the indentation", "bytes", 4*MaxBytes)
	}
	return nil
}

var errZone = errors.New("unknown time zone")

// guardTime refuses other spellings of a zone's name: OPA keeps each zone for ever, by its spelling.
func guardTime(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	for _, o := range operands {
		a, ok := o.Value.(*ast.Array)
		if !ok || a.Len() < 2 {
			continue
		}
		if zone, ok := a.Elem(1).Value.(ast.String); ok && zone != "" && path.Clean(string(zone)) != string(zone) {
			return errZone
		}
	}
	return small(bctx, operands)
}
