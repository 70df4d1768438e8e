package opa

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/util"
)

// path is the document that the request names after the first segments of its path, which are the
// route's. An encoded slash does not separate.
func (x *exchange) path(segments int) (engine.Path, error) {
	rest := x.r.URL.EscapedPath()
	for range segments + 1 {
		_, after, ok := strings.Cut(rest, "/")
		if !ok {
			return engine.Path{}, nil
		}
		rest = after
	}
	path, err := engine.ParsePath(rest)
	if err != nil {
		for part := range strings.SplitSeq(rest, "/") {
			if name, err := url.PathUnescape(part); err == nil && strings.Contains(name, `"`) {
				return nil, invalidPath(name)
			}
		}
	}
	return path, err
}

// decodeInput reads a body that holds an input: JSON, or YAML where its type says so. An empty body
// leaves v as it is.
func (x *exchange) decodeInput(v any) error {
	body, err := decision.Body(x.r)
	if err != nil {
		return err
	}
	if x.isYAML() {
		if len(body) > 0 {
			err = util.Unmarshal(body, v)
		}
	} else {
		err = util.NewJSONDecoder(bytes.NewReader(body)).Decode(v)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("body contains malformed input document: %w", err)
	}
	return nil
}

// decodeRequest reads a body that must be there.
func (x *exchange) decodeRequest(v any) error {
	body, err := decision.Body(x.r)
	if err != nil {
		return err
	}
	if err := util.NewJSONDecoder(bytes.NewReader(body)).Decode(v); err != nil {
		return fmt.Errorf("error(s) occurred while decoding request: %w", err) //nolint:revive // OPA's words
	}
	return nil
}

// dataInput is the input of a decision by path; nil is none.
func (x *exchange) dataInput() (ast.Value, error) {
	if x.r.Method == http.MethodPost {
		return x.postedInput()
	}
	texts := x.params[types.ParamInputV1]
	if len(texts) == 0 {
		return nil, nil
	}
	var v any
	if err := util.UnmarshalJSON([]byte(texts[len(texts)-1]), &v); err != nil {
		return nil, fmt.Errorf("parameter contains malformed input document: %w", err)
	}
	return ast.InterfaceToValue(v)
}

// postedInput reads a body that is an input and nothing else straight into OPA's values, and any other,
// a wrong one too, as OPA does.
func (x *exchange) postedInput() (ast.Value, error) {
	buffer := x.buffer()
	defer x.buffers.Put(buffer)
	text := bytes.NewBuffer((*buffer)[:0])
	_, err := text.ReadFrom(x.r.Body)
	*buffer = text.Bytes()
	if err != nil {
		return nil, err // of the reading, not of what was read
	}
	if len(x.r.Header["Content-Encoding"]) == 0 && !x.isYAML() {
		if input := onlyInput(*buffer); input != nil {
			return input, nil
		}
	}
	x.r.Body = io.NopCloser(bytes.NewReader(*buffer))
	var request types.DataRequestV1
	if err := x.decodeInput(&request); err != nil {
		return nil, err
	}
	return valueOf(request.Input)
}

// onlyInput is the input of {"input": …}; nil where the text is anything else. null is no input.
func onlyInput(text []byte) ast.Value {
	for _, token := range [...]string{`{`, `"input"`, `:`} {
		after, ok := bytes.CutPrefix(skipSpace(text), []byte(token))
		if !ok {
			return nil
		}
		text = after
	}
	text, ok := bytes.CutSuffix(bytes.TrimRight(text, jsonSpace), []byte(`}`))
	if !ok {
		return nil
	}
	input, err := engine.ParseJSON(text)
	if _, null := input.(ast.Null); err != nil || null {
		return nil
	}
	return input
}

const jsonSpace = " \t\r\n"

// skipSpace is [bytes.TrimLeft] of jsonSpace, without the set of characters that that makes at each call.
func skipSpace(text []byte) []byte {
	for len(text) > 0 && strings.IndexByte(jsonSpace, text[0]) >= 0 {
		text = text[1:]
	}
	return text
}

// mostBuffered is how large a buffer is at most that is used again.
const mostBuffered = 64 << 10

// buffer is one for a body or an answer, to be given back to buffers.
func (x *exchange) buffer() *[]byte {
	if b, ok := x.buffers.Get().(*[]byte); ok && cap(*b) <= mostBuffered {
		return b
	}
	return new(make([]byte, 0, 1024))
}

func (x *exchange) isYAML() bool {
	types := x.r.Header["Content-Type"]
	return len(types) > 0 && strings.Contains(types[0], "yaml")
}

func valueOf(v *any) (ast.Value, error) {
	if v == nil {
		return nil, nil
	}
	return ast.InterfaceToValue(*v)
}
