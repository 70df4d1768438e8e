package opa

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/util"
)

// mostUnpackedBytes bounds what a compressed body may become: as much as one that is not compressed.
const mostUnpackedBytes = 1 << 20

// path is the document that the request names after the first segments of its path, which are the
// route's. An encoded slash does not separate.
func (x *exchange) path(segments int) (engine.Path, error) {
	parts := strings.SplitN(x.r.URL.EscapedPath(), "/", segments+2)
	if len(parts) < segments+2 {
		return engine.Path{}, nil
	}
	rest := parts[segments+1]
	for part := range strings.SplitSeq(rest, "/") {
		if name, err := url.PathUnescape(part); err == nil && strings.Contains(name, `"`) {
			return nil, invalidPath(name)
		}
	}
	return engine.ParsePath(rest)
}

// Body reads a request's body, which may be compressed, up to 1 MiB of it. OPA's own reader crashes on a
// body that only says it is compressed.
func Body(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(r.Header.Get("Content-Encoding"), "gzip") {
		return body, err
	}
	packed, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("could not decompress the body: %w", err)
	}
	body, err = io.ReadAll(io.LimitReader(packed, mostUnpackedBytes+1))
	if err != nil {
		return nil, fmt.Errorf("could not decompress the body: %w", err)
	}
	if len(body) > mostUnpackedBytes {
		return nil, &http.MaxBytesError{Limit: mostUnpackedBytes}
	}
	return body, nil
}

// decodeInput reads a body that holds an input: JSON, or YAML where its type says so. An empty body
// leaves v as it is.
func (x *exchange) decodeInput(v any) error {
	body, err := Body(x.r)
	if err != nil {
		return err
	}
	if strings.Contains(x.r.Header.Get("Content-Type"), "yaml") {
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
	body, err := Body(x.r)
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
		var request types.DataRequestV1
		if err := x.decodeInput(&request); err != nil {
			return nil, err
		}
		return valueOf(request.Input)
	}
	texts := x.r.URL.Query()[types.ParamInputV1]
	if len(texts) == 0 {
		return nil, nil
	}
	var v any
	if err := util.UnmarshalJSON([]byte(texts[len(texts)-1]), &v); err != nil {
		return nil, fmt.Errorf("parameter contains malformed input document: %w", err)
	}
	return ast.InterfaceToValue(v)
}

func valueOf(v *any) (ast.Value, error) {
	if v == nil {
		return nil, nil
	}
	return ast.InterfaceToValue(*v)
}
