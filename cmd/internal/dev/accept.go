package dev

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/cmd/internal/private"
)

// toAccept is what a file of an expected answer would hold if what came out was right.
type toAccept struct {
	file   string // slash path relative to the directory
	before []byte // what it holds; nil: there is no such file
	after  []byte // nil: there is nothing that could be expected
}

// acceptable lists the saved inputs whose answer can become the expected one: those whose answer is another one, or where there
// are none, those for which nothing is expected yet.
func (r *Round) acceptable() (found []Decision) {
	if !r.compiled() {
		return nil
	}
	for _, missed := range []bool{true, false} {
		for _, d := range r.Decisions {
			if d.Err == nil && d.accept.after != nil && (len(d.Missed) > 0) == missed && (missed || !d.Expected) {
				found = append(found, d)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	return found
}

// Accept writes what came out as what is expected of a saved input, unless its file is another one than it was when the answer was
// compared with it. It is the only way by which a loop writes. Safe for concurrent use.
func (l *Loop) Accept(d Decision) error {
	file, err := filepath.Localize(d.accept.file)
	if err != nil {
		return fmt.Errorf("%s: %w", d.accept.file, err)
	}
	file = filepath.Join(l.cfg.Dir, file)
	mode := fs.FileMode(0o644)
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file: change what it leads to", file)
	default:
		mode = info.Mode().Perm()
	}
	held, err := os.ReadFile(file) //nolint:gosec // beside the saved input
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	switch {
	case err != nil:
		return err
	case !bytes.Equal(held, d.accept.before):
		return fmt.Errorf("%s has changed meanwhile: nothing was written", file)
	}
	return private.WriteMode(file, d.accept.after, mode) // aside first, in a hidden file: the loop does not look at those
}

// expectedOf is the file that holds what is expected of a saved input.
func expectedOf(input string) string { return strings.TrimSuffix(input, inputSuffix) + expectedSuffix }

// expectation is an answer as a file holds it; nil where it holds nothing that could be expected.
func expectation(answer any) []byte {
	if rules, ok := answer.(map[string]any); ok && len(rules) == 0 {
		return nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if encoder.Encode(answer) != nil {
		return nil
	}
	return text.Bytes()
}
