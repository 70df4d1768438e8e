package decision

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"defenseclaw/engine"
)

// maxUnpackedBytes bounds a compressed body once it is unpacked: to the size of a plain one.
const maxUnpackedBytes = 1 << 20

// Body reads a request's body, which may be compressed; unpacked, it is at most 1 MiB. A larger one is
// an [*http.MaxBytesError]. OPA's own reader crashes on a body that only claims to be compressed.
func Body(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(r.Header.Get("Content-Encoding"), "gzip") {
		return body, err
	}
	packed, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("could not decompress the body: %w", err)
	}
	body, err = io.ReadAll(io.LimitReader(packed, maxUnpackedBytes+1))
	if err != nil {
		return nil, fmt.Errorf("could not decompress the body: %w", err)
	}
	if len(body) > maxUnpackedBytes {
		return nil, &http.MaxBytesError{Limit: maxUnpackedBytes}
	}
	return body, nil
}

// Decode reads exactly one JSON value into v; fields that v does not have are ignored. Its errors are
// [*HTTPError], or [*http.MaxBytesError] if the body is too large.
func Decode(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = engine.CheckNumbers(body)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err == nil {
		err = decoder.Decode(v)
	}
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return err
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return BadRequest("%s: a JSON %s was found; %s was expected", wrongType.Field, wrongType.Value, wrongType.Type)
	case err != nil:
		return BadRequest("invalid JSON body: %s", Placed(body, err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return BadRequest("invalid JSON body: more text after the first value")
	}
	return nil
}
