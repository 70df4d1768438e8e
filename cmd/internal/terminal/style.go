package terminal

import (
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/term"
)

// Style is how a part of the program's own text looks. There are only the terminal's own colours, which are readable on its
// background, light or dark. A style alone never says anything: what it marks has words, too.
type Style string

// The styles.
const (
	Plain  Style = ""
	Good   Style = "32" // green
	Bad    Style = "31" // red
	Look   Style = "33" // yellow: something to look at
	Strong Style = "1"  // bold
	Quiet  Style = "2"  // faint
	Alarm  Style = "1;31"
)

const reset = "\x1b[0m"

// sequence matches the escape sequences of styles. [Clean] text of others has none: there, the escape character is escaped.
var sequence = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Line returns s, cleaned as by [Line], in this style. Only [Fprintf] and a [Writer] know whether the style can be shown.
func (s Style) Line(text string) Clean { return s.Of(Line(text)) }

// Of returns text in this style. Each of its lines has the style for itself.
func (s Style) Of(text Clean) Clean {
	if s == Plain || text == "" {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		bare := strings.TrimSuffix(line, "\n")
		if bare != "" {
			b.WriteString("\x1b[" + string(s) + "m" + bare + reset)
		}
		b.WriteString(line[len(bare):])
	}
	return Clean(b.String())
}

// Colours reports whether what is written to out is shown in colours: on a terminal, unless NO_COLOR is set or TERM is dumb, and
// wherever CLICOLOR_FORCE or FORCE_COLOR asks for them.
func Colours(out io.Writer) bool {
	switch {
	case os.Getenv("NO_COLOR") != "":
		return false
	case forced("CLICOLOR_FORCE"), forced("FORCE_COLOR"):
		return true
	case os.Getenv("TERM") == "dumb":
		return false
	}
	f, isFile := out.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}

func forced(variable string) bool {
	value := os.Getenv(variable)
	return value != "" && value != "0" && value != "false"
}

// Coloured returns t, which shows styles from now on, or leaves them out.
func (t *Writer) Coloured(on bool) *Writer {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.colours = on
	return t
}

// styled writes text whose only escape sequences are those of styles.
func (t *Writer) styled(text string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.partial) > 0 {
		rest := string(t.partial)
		t.partial = nil
		if err := t.write(rest); err != nil {
			return err
		}
	}
	for text != "" {
		at := sequence.FindStringIndex(text)
		if at == nil {
			return t.write(text)
		}
		if err := t.write(text[:at[0]]); err != nil {
			return err
		}
		if t.colours {
			if _, err := io.WriteString(t.out, text[at[0]:at[1]]); err != nil {
				return err
			}
		}
		text = text[at[1]:]
	}
	return nil
}

// Bare returns text without styles.
func Bare(text string) string { return sequence.ReplaceAllString(text, "") }

// Diff colours a difference in lines, by their first characters: green those that are added, red those that are removed.
func Diff(text Clean) Clean {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		style := Plain
		switch {
		case strings.HasPrefix(line, "+"):
			style = Good
		case strings.HasPrefix(line, "-"):
			style = Bad
		case strings.HasPrefix(line, "@@"):
			style = Quiet
		}
		b.WriteString(string(style.Of(Clean(line))))
	}
	return Clean(b.String())
}
