package opa

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// maxEvents bounds the events of a trace: each may hold the values of all local variables.
const maxEvents = 50_000

// jsonValue lets encoding/json encode a value of a generation.
type jsonValue struct {
	ast.Value
	g *engine.Generation
}

// MarshalJSON implements [json.Marshaler].
func (v jsonValue) MarshalJSON() ([]byte, error) { return v.g.AppendJSON(nil, v.Value) }

// write answers 200 with v as JSON.
func (x *exchange) write(v any) { x.writeStatus(http.StatusOK, v) }

func (x *exchange) writeStatus(status int, v any) {
	text, err := x.encode(v)
	if err != nil {
		x.failDecision(err)
		return
	}
	x.answer(status, text)
}

func (x *exchange) answer(status int, text []byte) {
	x.w.Header().Set("Content-Type", "application/json")
	if status != http.StatusOK {
		x.w.WriteHeader(status)
	}
	_, _ = x.w.Write(text)
}

// encode encodes v as OPA's writer does, up to the generation's limit, with which indentation counts: that of
// nested arrays takes more bytes than they do.
func (x *exchange) encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if len(text) > x.g.MaxAnswerBytes() || errors.Is(err, engine.ErrAnswerTooLong) {
		return nil, x.g.AnswerTooLong()
	}
	if err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	if !x.pretty() {
		return append(text, '\n'), nil
	}
	if indentedBytes(text) > x.g.MaxAnswerBytes() {
		return nil, x.g.AnswerTooLong()
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", indentation); err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

const indentation = "  "

// indentedBytes is about the length of a JSON text with indentation.
func indentedBytes(text []byte) int {
	size, depth, quoted := len(text), 0, false
	line := func() { size += 1 + depth*len(indentation) }
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			depth++
			line()
		case c == '}', c == ']':
			depth--
			line()
		case c == ',':
			line()
		}
	}
	return size
}

// bytesOfANode is about what an AST node takes as JSON, which names its type and may have a location.
const bytesOfANode = 32

// allowance is what is left of an answer's bytes for AST nodes, which encoding/json would write without a limit.
type allowance int

// take reports whether there was enough for the nodes.
func (a *allowance) take(nodes any) bool {
	ast.NewGenericVisitor(func(node any) bool {
		switch node := node.(type) {
		case ast.String:
			*a -= allowance(len(node))
		case ast.Number:
			*a -= allowance(len(node))
		}
		*a -= bytesOfANode
		return *a < 0
	}).Walk(nodes)
	return *a >= 0
}

// takeEvents is take for a trace. Only without pretty, it has the values of local variables.
func (a *allowance) takeEvents(trace []*topdown.Event, pretty bool) bool {
	for _, e := range trace {
		if e.Node != nil && !a.take(e.Node) {
			return false
		}
		if pretty || e.Locals == nil {
			continue
		}
		e.Locals.Iter(func(_, v ast.Value) bool { return !a.take(ast.NewTerm(v)) })
	}
	return *a >= 0
}

// fits reports whether what a partial evaluation left is not too long for an answer.
func (x *exchange) fits(p *rego.PartialQueries) bool {
	left := allowance(x.g.MaxAnswerBytes())
	for _, q := range p.Queries {
		if !left.take(q) {
			return false
		}
	}
	for _, m := range p.Support {
		if !left.take(m) {
			return false
		}
	}
	return true
}
