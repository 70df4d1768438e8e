package value

import (
	"encoding/json"
	"strings"

	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
)

// IsPlain reports whether [Arena.FromPlain] takes a value of Go: one of the types that encoding/json makes, an int, or a
// list of texts, with numbers that a node can hold.
func IsPlain(v any) bool {
	switch v := v.(type) {
	case nil, bool, string, int, []string:
		return true
	case json.Number:
		return jsonast.IsNumber(string(v)) && (len(v) < surelyHeld || holds(string(v)))
	case []any:
		for _, x := range v {
			if !IsPlain(x) {
				return false
			}
		}
		return true
	case map[string]any:
		for _, x := range v {
			if !IsPlain(x) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// surelyHeld is a length below which any number has a node, also one with an exponent.
const surelyHeld = 4

// FromPlain makes the node that [ast.InterfaceToValue]'s value has, of a value for which [IsPlain] holds.
func (a *Arena) FromPlain(v any) *Node {
	switch v := v.(type) {
	case bool:
		return Bool(v)
	case string:
		return a.String(v)
	case int:
		return a.Int(int64(v))
	case json.Number:
		n, err := a.NumberText(string(v))
		if err != nil {
			return NullNode // noted in the arena
		}
		return n
	case []string:
		n := a.Empty(Array, len(v))
		for _, x := range v {
			n.items = append(n.items, a.String(x))
		}
		return n
	case []any:
		n := a.Empty(Array, len(v))
		for _, x := range v {
			n.items = append(n.items, a.FromPlain(x))
		}
		return n
	case map[string]any:
		n := a.Empty(Object, len(v))
		for k, x := range v {
			n.items = append(n.items, a.String(k), a.FromPlain(x))
		}
		return n
	default:
		return NullNode
	}
}

// Plain is what [ast.JSON] makes of the value, of values that have at most limit bytes by [jsonast.Size], each counted
// with some more. The error is [jsonast.ErrTooLong], or ast.JSON's. It refers to nothing of an arena.
func (n *Node) Plain(each, limit int) (any, error) {
	p := plainer{each: each, left: limit}
	return p.of(n)
}

type plainer struct{ each, left int }

func (p *plainer) of(n *Node) (any, error) {
	const brackets, quotes, comma = 2, 2, 1
	before := p.left
	p.left -= p.each + comma
	switch n.kind {
	case Null, Boolean:
		p.left -= len("null")
	case Number:
		text := n.numberText()
		p.left -= len(text)
		if p.left >= 0 {
			return json.Number(strings.Clone(text)), nil
		}
	case String:
		p.left -= len(n.str) + quotes
		if p.left >= 0 {
			return strings.Clone(n.str), nil
		}
	default:
		p.left -= brackets
	}
	switch {
	case p.left < 0:
		return nil, jsonast.ErrTooLong
	case n.kind == Null:
		return nil, nil //nolint:nilnil // JSON's null
	case n.kind == Boolean:
		return n.num != 0, nil
	case n.kind == Object:
		return p.object(n, before)
	}
	n.Sort()
	list := make([]any, len(n.items))
	for i, x := range n.items {
		var err error
		if list[i], err = p.of(x); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// object has what was left before it, for an object that is measured as a whole.
func (p *plainer) object(n *Node, before int) (any, error) {
	n.open()
	o := make(map[string]any, len(n.items)/2)
	for i := 0; i < len(n.items); i += 2 {
		key := n.items[i]
		if key.kind != String { // such keys become strings, and two of them may become the same one
			p.left = before
			return p.byAST(n)
		}
		p.left -= p.each + len(`"",`) + len(key.str)
		x, err := p.of(n.items[i+1])
		if err != nil {
			return nil, err
		}
		o[strings.Clone(key.str)] = x
	}
	if p.left < 0 {
		return nil, jsonast.ErrTooLong
	}
	return o, nil
}

func (p *plainer) byAST(n *Node) (any, error) {
	v := n.Term().Value
	if p.left -= jsonast.Size(v, p.each, p.left); p.left < 0 {
		return nil, jsonast.ErrTooLong
	}
	return ast.JSON(v)
}
