package decision

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"
)

// Placed is an error of reading a JSON text with its line and column, which count from 1; columns are characters. An error
// without a place stays as it is.
func Placed(text []byte, err error) error {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	var offset int
	switch {
	case errors.As(err, &syntax):
		offset = int(syntax.Offset) - 1 // which counts the byte at fault
	case errors.As(err, &wrongType):
		offset = int(wrongType.Offset) - 1
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		offset = len(text)
		err = errors.New("the text ends before the value does")
	default:
		return err
	}
	before := text[:min(max(offset, 0), len(text))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Errorf("line %d, column %d: %w", line, column, err)
}

// TooLarge is what is said of a body over the limit, and nil of any other error.
func TooLarge(err error) error {
	var limit *http.MaxBytesError
	if !errors.As(err, &limit) {
		return nil
	}
	return fmt.Errorf("the body is larger than %d bytes, which is the limit", limit.Limit)
}
