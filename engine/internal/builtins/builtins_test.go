package builtins_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine/internal/builtins"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	tb "github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// childEnv names what a child process of the tests does.
const childEnv = "BUILTINS_TEST_CHILD"

var children = map[string]func() int{}

// originals are OPA's builtins.
var originals = map[string]topdown.BuiltinFunc{}

func TestMain(m *testing.M) {
	for _, decl := range ast.Builtins {
		originals[decl.Name] = topdown.GetBuiltin(decl.Name)
	}
	builtins.Install()
	if run, ok := children[os.Getenv(childEnv)]; ok {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

// at cancels an evaluation when the time has come.
type at struct{ time.Time }

func (at) Cancel()           {}
func (a at) Cancelled() bool { return time.Now().After(a.Time) }

// call calls a builtin as the evaluator does, and returns what it returned, as text.
func call(name string, deadline time.Duration, operands ...*ast.Term) (result string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	bctx := topdown.BuiltinContext{
		Context: context.Background(), Metrics: metrics.NoOp(), Seed: strings.NewReader(strings.Repeat("seed", 100)),
		Time: ast.NumberTerm("1700000000000000000"), Cancel: at{time.Now().Add(deadline)}, Cache: tb.Cache{},
		Capabilities: ast.CapabilitiesForThisVersion(),
	}
	var out bytes.Buffer
	err = topdown.GetBuiltin(name)(bctx, operands, func(t *ast.Term) error {
		if bctx.Cancel.Cancelled() { // as the evaluator looks at each step
			return topdown.Halt{Err: &topdown.Error{Code: topdown.CancelErr}}
		}
		if t != nil && out.Len() < 1<<16 {
			fmt.Fprintln(&out, abbreviated(t))
		}
		return nil
	})
	return out.String(), err
}

// abbreviated is the text of a term that is not too large to have one.
func abbreviated(t *ast.Term) string {
	switch v := t.Value.(type) {
	case ast.String:
		return string(v[:min(len(v), 1000)])
	case *ast.Array:
		if v.Len() > 100 {
			return fmt.Sprintf("%d items", v.Len())
		}
	case ast.Set:
		if v.Len() > 100 {
			return fmt.Sprintf("%d items", v.Len())
		}
	}
	return "a value"
}

func parsed(t *testing.T, terms ...string) []*ast.Term {
	t.Helper()
	var all []*ast.Term
	for _, text := range terms {
		all = append(all, ast.MustParseTerm(text))
	}
	return all
}

func valueOf(t *testing.T, name string, terms ...string) ast.Value {
	t.Helper()
	var got ast.Value
	err := topdown.GetBuiltin(name)(topdown.BuiltinContext{}, parsed(t, terms...), func(t *ast.Term) error {
		got = t.Value
		return nil
	})
	if err != nil {
		t.Fatalf("%s%v: %v", name, terms, err)
	}
	return got
}

func TestGlobMatchKeepsPatternsWithOtherDelimitersApart(t *testing.T) {
	valueOf(t, "glob.match", `"admin"`, `["*", "-", "."]`, `"admin"`)
	valueOf(t, "glob.match", `"admin-"`, `["*", "."]`, `"admin"`)
	valueOf(t, "glob.match", `"a*"`, `null`, `"a.b"`)
	for _, test := range []struct {
		operands []string
		want     ast.Boolean
	}{
		{[]string{`"admin-*"`, `["."]`, `"admin-x"`}, true},
		{[]string{`"admin-*"`, `["."]`, `"admin"`}, false},
		{[]string{`"a*"`, `["."]`, `"a.b"`}, false},
		{[]string{`"a*"`, `[]`, `"a.b"`}, false},
		{[]string{`"a*"`, `null`, `"a.b"`}, true},
	} {
		if got := valueOf(t, "glob.match", test.operands...); got != test.want {
			t.Errorf("glob.match%v = %v; want %v", test.operands, got, test.want)
		}
	}
}

func TestAPatchThatRemovesTheWholeDocumentFails(t *testing.T) {
	for _, path := range []string{`""`, `[]`} {
		got, err := call("json.patch", time.Minute, parsed(t, `{"a": 1}`, `[{"op": "remove", "path": `+path+`}]`)...)
		if err == nil || !strings.Contains(err.Error(), "the patch removes the whole document") {
			t.Errorf("removing %s gives %q, %v", path, got, err)
		}
	}
}

func TestSchemasThatStayInThemselvesAreValidated(t *testing.T) {
	tree := `{"properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}, "v": {"type": "number"}}, "additionalProperties": false}`
	for _, test := range []struct {
		document, schema string
		want             bool
	}{
		{`{"l": {"l": {"v": 1}, "r": {"v": 2}}}`, tree, true},
		{`{"l": {"l": {"v": 1}, "r": {"v": "2"}}}`, tree, false},
		{`{"a": 1}`, `{"$id": "http://example.com/s.json", "properties": {"a": {"$ref": "s.json#/definitions/n"}}, "definitions": {"n": {"type": "number"}}}`, true},
		{`{"type": "object"}`, `{"$ref": "http://json-schema.org/draft-07/schema#"}`, true},
		{`{"type": 1}`, `{"$ref": "http://json-schema.org/draft-07/schema#"}`, false},
		{`{"a": {"b": {}}}`, "`" + `{"additionalProperties": {"$ref": "#"}}` + "`", true},
	} {
		got := valueOf(t, "json.match_schema", test.document, test.schema).(*ast.Array).Elem(0).Value
		if got != ast.Boolean(test.want) {
			t.Errorf("json.match_schema(%s, %s) = %v; want %v", test.document, test.schema, got, test.want)
		}
	}
}

// endless are schemas that OPA's validator applies to the same document for ever, or nearly so.
func endless() map[string]string {
	doubling := `"x40": {}`
	for i := range 40 {
		doubling += fmt.Sprintf(`, "x%d": {"allOf": [{"$ref": "#/definitions/x%d"}, {"$ref": "#/definitions/x%d"}]}`, i, i+1, i+1)
	}
	return map[string]string{
		"itself":       `{"$ref": "#"}`,
		"a pair":       `{"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}}`,
		"allOf":        `{"allOf": [{"$ref": "#"}]}`,
		"not":          `{"not": {"$ref": "#"}}`,
		"identifier":   `{"$ref": "#f", "definitions": {"a": {"$id": "#f", "anyOf": [{"$ref": "#f"}]}}}`,
		"base":         `{"$id": "http://h/s", "oneOf": [{"$ref": "s#"}]}`,
		"dependencies": `{"dependencies": {"a": {"$ref": "#"}}}`,
		"then":         `{"$schema": "http://json-schema.org/draft-07/schema#", "if": true, "then": {"$ref": "#"}}`,
		"an enum":      `{"enum": [{"allOf": [{"$ref": "#/enum/0"}]}], "allOf": [{"$ref": "#/enum/0"}]}`,
		"escaped":      `{"allOf": [{"$ref": "#/definitions/%61"}], "definitions": {"a": {"allOf": [{"$ref": "#/definitions/a"}]}}}`,
		"doubling":     `{"$ref": "#/definitions/x0", "definitions": {` + doubling + `}}`,
	}
}

func TestSchemasThatDoNotEndAreRefused(t *testing.T) {
	for name, schema := range endless() {
		_, err := call("json.match_schema", time.Minute, parsed(t, `{"a": 1}`, schema)...)
		var one *topdown.Error
		if !errors.As(err, &one) || one.Code != topdown.BuiltinErr || !strings.HasPrefix(one.Message, "json.match_schema: the schema ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
