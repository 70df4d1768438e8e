package terminal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"defenseclaw/cmd/internal/terminal"
)

func TestCharactersThatATerminalActsOnAreShown(t *testing.T) {
	for _, tc := range []struct{ text, line, lines string }{
		{"plain, größer, 漢字 👍🏽 👩‍👧", "", ""},
		{"a\x1b[2Jb", `a\u001b[2Jb`, `a\u001b[2Jb`},
		{"a\r\nb\tc", `a\r\nb\tc`, "a\\r\nb\tc"},
		{"\x00\x07\x7f", `\u0000\u0007\u007f`, `\u0000\u0007\u007f`},
		{"\u0085\u009b31m", `\u0085\u009b31m`, `\u0085\u009b31m`},
		{"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", `\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069`, `\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069`},
		{"\u200e\u200f\u061c\u2028\u2029\ufeff", `\u200e\u200f\u061c\u2028\u2029\ufeff`, `\u200e\u200f\u061c\u2028\u2029\ufeff`},
		{"\xffa\xc3", `\xffa\xc3`, `\xffa\xc3`},
		{"\xed\xa0\x80", `\xed\xa0\x80`, `\xed\xa0\x80`}, // a surrogate
		{"\uFFFD", "", ""},
	} {
		if tc.line == "" {
			tc.line, tc.lines = tc.text, tc.text
		}
		if got := terminal.Line(tc.text); string(got) != tc.line {
			t.Errorf("Line(%q) = %q, want %q", tc.text, got, tc.line)
		}
		if got := terminal.Text(tc.text); string(got) != tc.lines {
			t.Errorf("Text(%q) = %q, want %q", tc.text, got, tc.lines)
		}
	}
}

func TestAWriterEscapesHoweverTextIsSplit(t *testing.T) {
	const text = "größe\x1b \u202e 👍 \xf0\x9f end\xe2\x80"
	want := string(terminal.Text(text))
	for size := 1; size < len(text); size++ {
		var out strings.Builder
		w := terminal.NewWriter(&out)
		for rest := text; rest != ""; {
			n, err := w.Write([]byte(rest[:min(size, len(rest))]))
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil || out.String() != want {
			t.Errorf("in parts of %d: %q %v, want %q", size, out.String(), err, want)
		}
	}
}

func TestArgumentsStayInTheirLine(t *testing.T) {
	type name string
	got := terminal.Sprintf("%s|%v|%q|%5d|%s|%s|%.1f|%v|%s\n", name("a\nb"), errors.New("c\nd"), "e", 7, time.Second, terminal.Text("f\ng"), 1.5, []string{"h\ni"}, []byte("j\n"))
	if want := "a\\nb|c\\nd|\"e\"|    7|1s|f\ng|1.5|[h\\ni]|[106 10]\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOnlyJoinedErrorsHaveSeveralLines(t *testing.T) {
	one := fmt.Errorf("open a\nError: forged: %w", errors.New("no\x1b such file"))
	joined := fmt.Errorf("dir\n: %w", errors.Join(one, nil, errors.New("second\n")))
	if got, want := terminal.Error(joined), `dir\n: open a\nError: forged: no\u001b such file`+"\n"+`second\n`; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLinesAreNoCommandsForGitHub(t *testing.T) {
	var out strings.Builder
	w := terminal.ForGitHub(&out)
	fmt.Fprint(w, "::error::x\n  ::add-mask::y\na ::b\n", ":", ":c::\n", "x ##[error]z\n")
	if err := w.Commands("::error file=a::b\n"); err != nil {
		t.Fatal(err)
	}
	want := "\\u003a:error::x\n  \\u003a:add-mask::y\na ::b\n\\u003a:c::\nx #\\u0023[error]z\n::error file=a::b\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// FuzzJSONStaysTheSameDocument writes a text as JSON through a Writer: what is read is the text.
func FuzzJSONStaysTheSameDocument(f *testing.F) {
	f.Add("a\x7f\u0085\u202e\u2028\ufeff\x1b\n::##[")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			text = strings.ToValidUTF8(text, "")
		}
		var out strings.Builder
		w := terminal.ForGitHub(&out)
		if err := json.NewEncoder(w).Encode([]string{text}); err != nil {
			t.Fatal(err)
		}
		var read []string
		if err := json.Unmarshal([]byte(out.String()), &read); err != nil || read[0] != text {
			t.Errorf("%q became %q: %v", text, out.String(), err)
		}
		if again := terminal.Text(out.String()); string(again) != out.String() {
			t.Errorf("%q: escaping again gives %q", out.String(), again)
		}
	})
}

func TestStylesAreShownByAWriterWithColoursAndThoseOfOthersAreEscaped(t *testing.T) {
	for _, tc := range []struct {
		on   bool
		want string
	}{
		{true, "\x1b[31mFAIL\x1b[0m a\\u001b[31mb\n\x1b[32mc\x1b[0m\n\x1b[32md\x1b[0m\n"},
		{false, "FAIL a\\u001b[31mb\nc\nd\n"},
	} {
		var out strings.Builder
		w := terminal.NewWriter(&out).Coloured(tc.on)
		terminal.Fprintf(w, "%s %s\n", terminal.Bad.Line("FAIL"), "a\x1b[31mb")
		terminal.Fprintf(w, "%s", terminal.Good.Of(terminal.Text("c\nd\n")))
		if out.String() != tc.want {
			t.Errorf("%t: %q, want %q", tc.on, out.String(), tc.want)
		}
	}
	var out strings.Builder
	terminal.Fprintf(&out, "%s", terminal.Diff("+ a\n  - b\n c\n"))
	fmt.Fprint(terminal.NewWriter(&out).Coloured(true), "\x1b[31m")
	if want := "+ a\n  - b\n c\n\\u001b[31m"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestADifferenceIsColouredByItsMarksAndNotByWhatLinesHold(t *testing.T) {
	var out strings.Builder
	terminal.Fprintf(terminal.NewWriter(&out).Coloured(true), "%s", terminal.Diff("@@ -1 +1 @@\n   -1,\n-  +2\n+  -3\n"))
	if want := "\x1b[2m@@ -1 +1 @@\x1b[0m\n   -1,\n\x1b[31m-  +2\x1b[0m\n\x1b[32m+  -3\x1b[0m\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestCountsAreInPlainEnglish(t *testing.T) {
	for want, got := range map[string]string{
		"1 module": terminal.Count(1, "module"), "0 modules": terminal.Count(0, "module"), "2 data files": terminal.Count(2, "data file"),
		"1 entry": terminal.Count(1, "entry"), "3 entries": terminal.Count(3, "entry"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
