package docproof

import (
	"regexp"
	"strings"
)

// varying are the parts of what commands print that no two runs have in common, and what they all become.
var varying = []struct {
	pattern *regexp.Regexp
	as      string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(\.\d+\.[0-9a-f]{12})?\b`), "ID"},
	{regexp.MustCompile(`\bsha256:([0-9a-f]{6,64}…?|…)`), "DIGEST"},
	{regexp.MustCompile(`\bdc_[0-9a-f]{64}\b`), "TOKEN"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ?(ns|µs|ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\buid:\d+ \([^)]*\)`), "USER"},
	{regexp.MustCompile(`\bpid(["']?:?) \d+`), "pid$1 N"},
}

// spaces are those between words: how many there are depends on what varies.
var spaces = regexp.MustCompile(`(\S)[ \t]+`)

// canonical returns text with what varies replaced, and without empty lines and spaces at its end.
func canonical(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	for _, v := range varying {
		text = v.pattern.ReplaceAllString(text, v.as)
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		text := strings.TrimLeft(strings.TrimRight(l, " \t\r"), " \t")
		lines[i] = spaces.ReplaceAllString(text, "$1 ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// pattern is the regular expression of what a page shows, of whole lines.
func pattern(shown string) string {
	var p strings.Builder
	for l := range strings.SplitSeq(canonical(shown), "\n") {
		if strings.TrimSpace(l) == "…" {
			p.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(l, "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		p.WriteString(strings.Join(parts, ".*") + `\n`)
	}
	return p.String()
}

// matches reports whether a command printed what the page shows, and nothing else.
func matches(shown, printed string) bool {
	if strings.TrimSpace(shown) == "" {
		return strings.TrimSpace(printed) == ""
	}
	return regexp.MustCompile(`\A` + pattern(shown) + `\z`).MatchString(canonical(printed) + "\n")
}

// found looks for what the page shows among the lines that a command printed, after the first from bytes of their canonical
// form. It returns where what was found ends.
func found(shown, printed string, from int) (end int, ok bool) {
	text := canonical(printed) + "\n"
	if from > len(text) {
		return from, false
	}
	at := regexp.MustCompile(`(?m)^` + pattern(shown)).FindStringIndex(text[from:])
	if at == nil {
		return from, false
	}
	return from + at[1], true
}
