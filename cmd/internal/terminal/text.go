package terminal

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean is text that may be shown as it is.
type Clean string

// Text cleans text of several lines: its line feeds and tabs stay.
func Text(s string) Clean { return Clean(escape(s, "\n\t")) }

// Line cleans text that belongs in one line, such as the name of a file: line feeds and tabs are escaped too.
func Line(s string) Clean { return Clean(escape(s, "")) }

// Sprintf is fmt.Sprintf with arguments that stay in their line, see [Line]; one of type [Clean] is left alone.
func Sprintf(format string, args ...any) string {
	clean := make([]any, len(args))
	for i, arg := range args {
		clean[i] = cleanArgument(arg)
	}
	return fmt.Sprintf(format, clean...)
}

// Fprintf writes what [Sprintf] returns. Arguments may have a [Style], which is shown where w is a [Writer] with colours, and is left
// out elsewhere.
func Fprintf(w io.Writer, format string, args ...any) (int, error) {
	text := Sprintf(format, args...)
	if t, ok := w.(*Writer); ok {
		return len(text), t.styled(text)
	}
	return io.WriteString(w, Bare(text))
}

func cleanArgument(arg any) any {
	switch a := arg.(type) {
	case Clean:
		return a
	case error:
		return Line(a.Error())
	case []string:
		lines := make([]Clean, len(a))
		for i, s := range a {
			lines[i] = Line(s)
		}
		return lines
	}
	switch v := reflect.ValueOf(arg); v.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return arg // their texts, that of a time.Duration too, are not others'
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Int {
			return arg
		}
	}
	return Line(fmt.Sprint(arg))
}

// Error returns the text of err. Members of a joined error have lines of their own; every other line break is in
// text of others, and escaped.
func Error(err error) Clean {
	if err == nil {
		return ""
	}
	text, shown := err.Error(), Clean("")
	joined, separated := err.(interface{ Unwrap() []error }) // of this level only
	members := []error{errors.Unwrap(err)}
	if separated {
		members = joined.Unwrap()
	}
	for _, member := range members {
		if member == nil || member.Error() == "" {
			continue
		}
		before, after, found := strings.Cut(text, member.Error())
		if !found {
			continue // err describes its cause in words of its own
		}
		if separated && before == "\n" {
			shown += "\n"
		} else {
			shown += Line(before)
		}
		shown += Error(member)
		text = after
	}
	return shown + Line(text)
}

// escape replaces what a terminal would act on, except for the characters of keep. The result is valid UTF-8.
func escape(s, keep string) string {
	if !needsEscape(s, keep) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case strings.ContainsRune(keep, r) || !acts(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func needsEscape(s, keep string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf {
			return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return acts(r) && !strings.ContainsRune(keep, r) })
		} else if acts(rune(c)) && strings.IndexByte(keep, c) < 0 {
			return true
		}
	}
	return false
}

// acts reports whether a terminal, or what lays out text, acts on r instead of showing it: controls, line and
// paragraph separators, and what changes the direction of text. All are below U+10000, so that four digits are
// enough.
func acts(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || r == '\uFEFF'
}

// Count is a number of things in words: 1 file, 2 files.
func Count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if stem, ok := strings.CutSuffix(one, "y"); ok {
		one = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, one)
}
