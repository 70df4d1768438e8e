// Package terminal writes to people's terminals text that others chose: names of files, actors, messages, values.
// A terminal acts on some characters: escape sequences move the cursor and alter what was printed, overrides of the
// direction show text in another order, a line break begins a line that looks like the program's own. Such
// characters are shown as escapes.
//
// Every command writes to a [Writer], which escapes all of them but line feeds and tabs. It cannot tell the line feeds of
// others' text from the program's; [Fprintf] and [Sprintf] can, since they see arguments, and commands print with
// them. The escapes are those of JSON, so JSON that passes a Writer remains the same document; a byte that is not UTF-8
// is shown as \xff. They are for eyes: nothing turns them back.
//
// The program's own text may have a [Style], which [Fprintf] lets through to a Writer with colours.
package terminal

import (
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// Writer escapes what is written to it; see the package comment. Safe for concurrent use.
type Writer struct {
	mu      sync.Mutex
	out     io.Writer
	colours bool   // styles are shown
	guard   bool   // lines are no commands for GitHub
	within  bool   // the line that is being written has text already
	partial []byte // the beginning of a character whose other bytes are not written yet
}

// NewWriter returns a Writer to out.
func NewWriter(out io.Writer) *Writer { return &Writer{out: out} }

// ForGitHub returns a Writer to out for a job of GitHub, whose runner takes a line as a command if it begins with "::",
// or if it has "##[" in it. Text of others must not be one; [Writer.Commands] lets the program's own through.
func ForGitHub(out io.Writer) *Writer { return &Writer{out: out, guard: true} }

// Commands writes lines that are commands for GitHub on purpose. Their parts that are text of others must have no line
// breaks.
func (t *Writer) Commands(lines string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := io.WriteString(t.out, escape(lines, "\n\t"))
	return err
}

// Exact writes text that the user passes through the program to a file or another program, as it is: nothing looks at it
// there. What a terminal or the log of a job of GitHub shows is escaped all the same.
func (t *Writer) Exact(p []byte) error {
	f, isFile := t.out.(*os.File)
	if isFile && term.IsTerminal(int(f.Fd())) || t.guard && !regular(f) {
		_, err := t.Write(p)
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.out.Write(p)
	return err
}

func regular(f *os.File) bool {
	if f == nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// Write escapes p. A character may be split between two calls.
func (t *Writer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := append(t.partial, p...)
	whole := len(text) - incomplete(text)
	t.partial = append([]byte(nil), text[whole:]...)
	if err := t.write(string(text[:whole])); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes the beginning of a character that was not completed.
func (t *Writer) Flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := string(t.partial)
	t.partial = nil
	return t.write(rest)
}

func (t *Writer) write(s string) error {
	if s == "" {
		return nil
	}
	s = escape(s, "\n\t")
	if t.guard {
		s = t.guarded(s)
	}
	_, err := io.WriteString(t.out, s)
	return err
}

// guarded escapes what GitHub would take as a command. It is told in JSON's escapes, too.
func (t *Writer) guarded(s string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(s, "##[", `#\u0023[`)) {
		text := strings.TrimLeft(line, " \t")
		if !t.within && strings.HasPrefix(text, ":") {
			line = line[:len(line)-len(text)] + `\u003a` + text[1:]
		}
		b.WriteString(line)
		t.within = !strings.HasSuffix(line, "\n") && (t.within || strings.TrimSpace(text) != "")
	}
	return b.String()
}

// incomplete returns how many bytes at the end of p are the beginning of a character.
func incomplete(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if tail := p[len(p)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
