package eval

import (
	"encoding/json"
	"fmt"
	"sync"

	"defenseclaw/engine/internal/eval/plan/value"
	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Input is the input of decisions: a value, or a JSON text of which a value is made when one is asked for. Programs
// read the text as they need it. An input never changes, so any number of decisions may use it at once, such as
// those of a batch. A nil *Input is none.
type Input struct {
	text *value.Text // nil: it was made of a value
	base *Input      // a text that is joined with text; nil: none

	plain any // a value of Go's types; nil: none of them, or null

	// Of several decisions at once, any may be the first to need the value.
	parse sync.Once
	term  *ast.Term // of parse, if there is a text
	err   error
	own   ast.Term // where term points if it was made of a value
}

// InputOf is the input that is a value; nil if there is none. The value must not be changed afterwards.
func InputOf(v ast.Value) *Input {
	if v == nil {
		return nil
	}
	// The term is a part of the input, so that a decision from a value allocates once, as it did when the evaluator
	// took the value alone.
	in := &Input{own: ast.Term{Value: v}}
	in.term = &in.own
	return in
}

// PlainInput is the input that is a value of encoding/json's types, which must not be changed afterwards. What else it may
// be, and fail with, is [ast.InterfaceToValue]'s.
func PlainInput(v any) (*Input, error) {
	if v != nil && value.IsPlain(v) {
		return &Input{plain: v}, nil
	}
	converted, err := ast.InterfaceToValue(v)
	if err != nil {
		return nil, err
	}
	return InputOf(converted), nil
}

// scanInput is the input of a text. ok is false if the text is none, or none that is safe to be read by parts.
func scanInput(text []byte) (_ *Input, ok bool) {
	// The copy is what lets values refer to parts of the text, whatever the caller does with his buffer: it costs as much as
	// a few of the values that are not made.
	t, ok := value.Scan(string(text))
	if !ok {
		return nil, false
	}
	return &Input{text: t}, true
}

// Value is the input as OPA's value, which must not be changed; nil for none. The first call for a text takes the time
// of reading all of it.
func (in *Input) Value() ast.Value {
	if t, err := in.asTerm(); err == nil && t != nil {
		return t.Value
	}
	return nil
}

// IsNull reports whether the input is JSON's null.
func (in *Input) IsNull() bool {
	if in.text != nil {
		return in.text.IsNull()
	}
	_, is := in.Value().(ast.Null)
	return is
}

// asTerm is nil for no input. The error is of a text that the scan let pass and the reader refuses, of which none is
// known; the decision fails by it then.
func (in *Input) asTerm() (*ast.Term, error) {
	if in == nil {
		return nil, nil
	}
	if in.text == nil && in.plain == nil {
		return in.term, nil
	}
	in.parse.Do(func() {
		if in.plain != nil {
			in.own.Value, in.err = ast.InterfaceToValue(in.plain)
			in.term = &in.own
			return
		}
		v, err := jsonast.Value([]byte(in.text.String()))
		if err != nil {
			in.err = fmt.Errorf("read the input: %w", err)
			return
		}
		if in.base != nil {
			base, err := in.base.asTerm()
			if err != nil {
				in.err = err
				return
			}
			v = joined(base.Value, v)
		}
		in.term = ast.NewTerm(v)
	})
	return in.term, in.err
}

// TextBytes is the length of the text; 0 for an input that is a value, and for none.
func (in *Input) TextBytes() int {
	if in == nil || in.text == nil {
		return 0
	}
	return len(in.text.String()) + in.base.TextBytes()
}

// CompactBytes is about the length that the input has as JSON without spaces. It stops counting above limit.
func (in *Input) CompactBytes(limit int) int {
	switch {
	case in == nil:
		return 0
	case in.plain != nil:
		return plainBytes(in.plain, 0, limit)
	case in.text == nil:
		return jsonast.Size(in.Value(), 0, limit)
	}
	return in.text.CompactBytes() + in.base.CompactBytes(limit)
}

// plainBytes is size with the length of a value of encoding/json's types as JSON.
func plainBytes(v any, size, limit int) int {
	const punctuation = 3 // of a member or an item
	switch v := v.(type) {
	case string:
		return size + len(v) + 2
	case json.Number:
		return size + len(v)
	case []string:
		for _, text := range v {
			size += len(text) + punctuation
		}
	case map[string]any:
		for name, value := range v {
			if size = plainBytes(value, size+len(name)+punctuation, limit); size > limit {
				break
			}
		}
	case []any:
		for _, value := range v {
			if size = plainBytes(value, size+1, limit); size > limit {
				break
			}
		}
	}
	return size + punctuation
}

// Joined is over with the keys that only base has, at every depth at which both are objects. base may be nil, and may serve
// for many others: it is read once.
func Joined(base, over *Input) *Input {
	switch {
	case base == nil:
		return over
	case base.text != nil && over.text != nil && base.base == nil && over.base == nil:
		return &Input{text: over.text, base: base}
	}
	return InputOf(joined(base.Value(), over.Value()))
}

// joined shares what it does not change with both.
func joined(base, over ast.Value) ast.Value {
	b, ok1 := base.(ast.Object)
	o, ok2 := over.(ast.Object)
	if !ok1 || !ok2 {
		return over
	}
	result := ast.NewObject()
	b.Foreach(func(key, value *ast.Term) {
		if own := o.Get(key); own != nil {
			value = ast.NewTerm(joined(value.Value, own.Value))
		}
		result.Insert(key, value)
	})
	o.Foreach(func(key, value *ast.Term) {
		if b.Get(key) == nil {
			result.Insert(key, value)
		}
	})
	return result
}

// ReadInput reads exactly one JSON value as the input of decisions at path. Where a program makes them, no value is made
// of the text. The text may be changed afterwards. The error says only that it is not JSON.
func (e *Evaluator) ReadInput(path Path, text []byte) (*Input, error) {
	// Without a program the scan would be for nothing: OPA's evaluator needs the value. A program that comes in the meantime
	// takes the value as well, and one that is given up has OPA's evaluator make it of the text.
	if p := e.plans.get(path.key(), path); p != nil && p.program.Load() != nil {
		if in, ok := scanInput(text); ok {
			return in, nil
		}
	}
	v, err := jsonast.Value(text)
	if err != nil {
		return nil, err
	}
	return InputOf(v), nil
}
