// Package diagnostic says what is wrong with a policy file, and where: the one type in which reading,
// parsing and compiling report, and which the commands draw.
package diagnostic

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Codes of the diagnostics that are not OPA's own (those begin with "rego_").
const (
	CodeFileUnreadable = "file_unreadable"
	CodeFileTooLarge   = "file_too_large"
	CodeFileNotRegular = "file_not_regular"
	CodeLinkRefused    = "link_refused"
	CodeTooManyFiles   = "too_many_files"
	CodePolicyTooLarge = "policy_too_large"
	CodeTooDeep        = "directory_too_deep"
	CodeDataParse      = "data_parse_error"
	CodeDataNotObject  = "data_not_object"
	CodeDataConflict   = "data_conflict"
	CodeDataRemoved    = "data_removed"
	CodePackageRemoved = "package_removed"

	// What OPA's strict mode refuses, and what is a warning here.
	CodeUnusedImport   = "rego_unused_import"
	CodeUnusedVariable = "rego_unused_variable"
	CodeUnusedArgument = "rego_unused_argument"

	CodeSignatureMissing = "signature_missing"   // there is none to verify
	CodeSignatureInvalid = "signature_invalid"   // no trusted key made it, or for another purpose, or it is over
	CodeFileNotSigned    = "file_not_signed"     // it is not among what was signed
	CodeFileAltered      = "file_altered"        // what was signed is something else
	CodeSignedFileGone   = "signed_file_missing" // what was signed is not there
	CodeCommitOlder      = "commit_older"        // what served is signed by a later commit
)

// A Diagnostic is one thing that is wrong with one file.
type Diagnostic struct {
	File    string   // slash path relative to the policy directory; empty when no single file is to blame
	Line    int      // from 1; 0 when the whole file is meant
	Column  int      // from 1, in bytes as editors and OPA count them; 0 when unknown
	Code    string   // stable, for programs
	Message string   // one sentence, for people
	Details []string // more lines, such as the type found and the type wanted, or the other place of a conflict
	Hint    string   // what the author can do or may have meant; empty when there is no hint
	Text    string   // the source line, without its line break
}

// String is the one-line form file:line:column: code: message that editors parse.
func (d Diagnostic) String() string {
	var b strings.Builder
	if d.File != "" {
		b.WriteString(d.File)
		if d.Line > 0 {
			fmt.Fprintf(&b, ":%d", d.Line)
			if d.Column > 0 {
				fmt.Fprintf(&b, ":%d", d.Column)
			}
		}
		b.WriteString(": ")
	}
	b.WriteString(d.Code + ": " + d.Message)
	return b.String()
}

// IsRego reports whether the diagnostic is about Rego, not about a file or data.
func (d Diagnostic) IsRego() bool { return strings.HasPrefix(d.Code, "rego_") }

// List is everything that is wrong, as an error.
type List []Diagnostic

// Error is one line: the first diagnostic and how many more there are.
func (ds List) Error() string {
	switch len(ds) {
	case 0:
		return "no diagnostics"
	case 1:
		return ds[0].String()
	default:
		return fmt.Sprintf("%s (and %d more)", ds[0], len(ds)-1)
	}
}

// Sorted sorts the list in place by file, line and column, and returns it without duplicates.
func (ds List) Sorted() List {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(
			strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Code, b.Code), strings.Compare(a.Message, b.Message))
	})
	// OPA reports some mistakes twice at one place, and says more the second time.
	kept := ds[:0]
	for i, d := range ds {
		if i+1 < len(ds) && d.samePlace(ds[i+1]) && strings.HasPrefix(ds[i+1].Message, d.Message) {
			continue
		}
		kept = append(kept, d)
	}
	return kept
}

// samePlace reports whether d and other have the same code and place.
func (d Diagnostic) samePlace(other Diagnostic) bool {
	return d.File == other.File && d.Line == other.Line && d.Column == other.Column && d.Code == other.Code
}

// FromOPA translates OPA's errors. source returns the bytes of a file, for the text of the line.
func FromOPA(errs ast.Errors, source func(file string) []byte) List {
	ds := make(List, 0, len(errs))
	texts := map[string]*fileLines{}
	for _, e := range errs {
		d := Diagnostic{Code: e.Code, Message: e.Message}
		if e.Location != nil {
			d.File, d.Line, d.Column = e.Location.File, e.Location.Row, e.Location.Col
			lines := texts[d.File]
			if lines == nil {
				lines = newFileLines(source(d.File))
				texts[d.File] = lines
			}
			// OPA places what is missing at the end after the last line. The last line with text is shown instead.
			if d.Line > lines.lastLine && lines.lastLine > 0 {
				d.Line, d.Column = lines.lastLine, lines.lastColumn
			}
			d.Text = lines.line(d.Line)
		}
		// A parse error's details are the line and a caret, which Text and Column already say.
		if e.Details != nil && e.Code != ast.ParseErr {
			d.Details = e.Details.Lines()
		}
		d.foldMessage()
		ds = append(ds, d)
	}
	return ds
}

// fileLines finds lines of a text without looking for them from its start each time: a file of 1 MB can have an
// error in each of 100,000 lines.
type fileLines struct {
	text                 []byte
	starts               []int // offset of each line
	lastLine, lastColumn int   // the end of the last line with text; 0 if none has any
}

func newFileLines(text []byte) *fileLines {
	l := &fileLines{text: text, starts: []int{0}}
	for i, c := range text {
		if c == '\n' {
			l.starts = append(l.starts, i+1)
		}
	}
	if end := bytes.TrimRight(text, " \t\r\n"); len(end) > 0 {
		l.lastLine, l.lastColumn = Position(end, int64(len(end)))
	}
	return l
}

func (l *fileLines) line(n int) string {
	if n < 1 || n > len(l.starts) {
		return ""
	}
	return Line(l.text[l.starts[n-1]:], 1)
}

// foldMessage keeps the first line of the message. Other lines become details, and a hint of OPA's parser
// becomes the hint.
func (d *Diagnostic) foldMessage() {
	message, more, _ := strings.Cut(d.Message, "\n")
	if before, hint, ok := strings.Cut(message, " (hint: "); ok {
		message, d.Hint = before, strings.TrimSuffix(hint, ")")
	}
	d.Message = strings.TrimSuffix(message, ":")
	for line := range strings.Lines(more) {
		if line = strings.TrimSpace(line); line != "" {
			d.Details = append(d.Details, line)
		}
	}
}

// Line returns line n of text, counted from 1, without its line break: at most 1,024 bytes, as valid UTF-8.
// It is empty when there is no such line.
func Line(text []byte, n int) string {
	if n < 1 {
		return ""
	}
	for range n - 1 {
		_, rest, found := bytes.Cut(text, []byte{'\n'})
		if !found {
			return ""
		}
		text = rest
	}
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	const maxBytes = 1024 // a minified data.json is one line of megabytes
	if len(line) > maxBytes {
		line = line[:maxBytes]
	}
	return strings.ToValidUTF8(string(bytes.TrimSuffix(line, []byte{'\r'})), "\uFFFD")
}

// Position turns a byte offset in text into line and column, both from 1. The column counts bytes.
func Position(text []byte, offset int64) (line, column int) {
	before := text[:min(max(offset, 0), int64(len(text)))]
	return bytes.Count(before, []byte{'\n'}) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}
