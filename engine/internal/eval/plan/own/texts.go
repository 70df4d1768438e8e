package own

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"defenseclaw/engine/internal/eval/plan/value"
)

var texts = map[string]Builtin{
	"startswith": asked(strings.HasPrefix),
	"endswith":   asked(strings.HasSuffix),
	"contains":   asked(strings.Contains),

	"strings.any_prefix_match": anyOf(strings.HasPrefix),
	"strings.any_suffix_match": anyOf(strings.HasSuffix),
	"strings.count":            stringsCount,
	"indexof":                  indexOf,

	"lower":       changed(strings.ToLower),
	"upper":       changed(strings.ToUpper),
	"trim_space":  cut(strings.TrimSpace),
	"trim":        cutBy(strings.Trim, true),
	"trim_left":   cutBy(strings.TrimLeft, true),
	"trim_right":  cutBy(strings.TrimRight, true),
	"trim_prefix": cutBy(strings.TrimPrefix, false),
	"trim_suffix": cutBy(strings.TrimSuffix, false),
	"substring":   substring,
	"split":       split,
	"replace":     replace,

	"base64.encode":           changed(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
	"base64url.encode":        changed(func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) }),
	"base64url.encode_no_pad": changed(func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }),
	"base64.decode":           decode,
	"hex.encode":              changed(func(s string) string { return hex.EncodeToString([]byte(s)) }),
	"crypto.sha256":           changed(sha256Hex),
	"strings.reverse":         reverse,
	"time.parse_rfc3339_ns":   parseRFC3339,
}

// areTexts reports whether all operands are texts, n of them.
func areTexts(x []*value.Node, n int) bool {
	if len(x) != n {
		return false
	}
	for _, t := range x {
		if t.Kind() != value.String {
			return false
		}
	}
	return true
}

func asked(f func(text, part string) bool) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if !areTexts(x, 2) || !c.reads(x[0].Text()) {
			return nil
		}
		return value.Bool(f(x[0].Text(), x[1].Text()))
	}
}

// anyOf takes a text, or a list of nothing but texts, on each side. OPA's fails for other lists, wherever the odd one stands.
func anyOf(f func(text, part string) bool) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if len(x) != 2 || !isTexts(x[0]) || !isTexts(x[1]) {
			return nil
		}
		n, m := lengthOf(x[0]), lengthOf(x[1])
		if n*m > maxItems || !c.spend(n*m) {
			return nil
		}
		for i := range n {
			for j := range m {
				if f(textAt(x[0], i), textAt(x[1], j)) {
					return value.True
				}
			}
		}
		return value.False
	}
}

// isTexts reports whether n is a text, or a list of nothing else, and not long.
func isTexts(n *value.Node) bool {
	if n.Kind() == value.String {
		return len(n.Text()) <= maxBytes
	}
	if !isList(n) || n.Len() > maxItems {
		return false
	}
	bytes := 0
	for i := range n.Len() {
		if bytes += len(n.Elem(i).Text()); n.Elem(i).Kind() != value.String || bytes > maxBytes {
			return false
		}
	}
	return true
}

func lengthOf(texts *value.Node) int {
	if texts.Kind() == value.String {
		return 1
	}
	return texts.Len()
}

func textAt(texts *value.Node, i int) string {
	if texts.Kind() == value.String {
		return texts.Text()
	}
	return texts.Elem(i).Text()
}

func stringsCount(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 2) || !c.reads(x[0].Text()) {
		return nil
	}
	return c.arena.Int(int64(strings.Count(x[0].Text(), x[1].Text())))
}

// indexOf counts in runes. A text that is not UTF-8 has bytes that differ and are the same rune.
func indexOf(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 2) || x[1].Text() == "" || !c.reads(x[0].Text(), x[1].Text()) {
		return nil
	}
	text, part := x[0].Text(), x[1].Text()
	if !utf8.ValidString(text) || !utf8.ValidString(part) {
		return nil
	}
	i := strings.Index(text, part)
	if i > 0 {
		i = utf8.RuneCountInString(text[:i])
	}
	return c.arena.Int(int64(i))
}

func changed(f func(string) string) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if !areTexts(x, 1) || !c.reads(x[0].Text()) {
			return nil
		}
		s := f(x[0].Text())
		if s == x[0].Text() {
			return x[0]
		}
		return c.made(s)
	}
}

func cut(f func(string) string) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if !areTexts(x, 1) || !c.reads(x[0].Text()) {
			return nil
		}
		return c.part(x[0], f(x[0].Text()))
	}
}

// cutBy takes short sets of runes: each rune of the text may be compared with all of them.
func cutBy(f func(text, by string) string, runes bool) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if !areTexts(x, 2) || !c.reads(x[0].Text()) || runes && len(x[0].Text())*len(x[1].Text()) > maxBytes {
			return nil
		}
		return c.part(x[0], f(x[0].Text(), x[1].Text()))
	}
}

// substring counts in runes. Of a text that is not UTF-8, OPA's replaces the bytes that are none.
func substring(c *Call, x []*value.Node) *value.Node {
	if len(x) != 3 || !areTexts(x[:1], 1) || !c.reads(x[0].Text()) {
		return nil
	}
	from, ok1 := x[1].PlainInt()
	length, ok2 := x[2].PlainInt()
	text := x[0].Text()
	if !ok1 || !ok2 || from < 0 || !utf8.ValidString(text) {
		return nil
	}
	rest := text[skipped(text, from):]
	if length >= 0 {
		rest = rest[:skipped(rest, length)]
	}
	return c.part(x[0], rest)
}

// skipped is how many bytes n runes at the beginning of a text have, or all runes where there are fewer.
func skipped(text string, n int64) int {
	if n >= int64(len(text)) {
		return len(text)
	}
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(text)
}

func split(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 2) || x[1].Text() == "" || !c.reads(x[0].Text()) {
		return nil
	}
	text, by := x[0].Text(), x[1].Text()
	n := strings.Count(text, by)
	list := c.arena.Empty(value.Array, n+1)
	if n == 0 {
		list.Append(x[0])
		return list
	}
	for {
		part, rest, more := strings.Cut(text, by)
		list.Append(c.arena.String(part))
		if !more {
			return list
		}
		text = rest
	}
}

// replace leaves to OPA's what is replaced between the runes, which an empty text is, and long texts to look for, of which
// OPA's takes the time.
func replace(c *Call, x []*value.Node) *value.Node {
	const maxOld = 1 << 10
	if !areTexts(x, 3) || x[1].Text() == "" || len(x[1].Text()) > maxOld || !c.reads(x[0].Text(), x[2].Text()) {
		return nil
	}
	text, old, by := x[0].Text(), x[1].Text(), x[2].Text()
	if len(old)*len(text) > maxOld*maxItems {
		return nil
	}
	n := strings.Count(text, old)
	if n == 0 {
		return x[0]
	}
	if len(text)+n*len(by) > maxBytes {
		return nil
	}
	return c.made(strings.ReplaceAll(text, old, by))
}

func decode(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 1) || !c.reads(x[0].Text()) {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(x[0].Text())
	if err != nil {
		return nil
	}
	return c.made(string(b))
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// reverse takes texts of ASCII.
func reverse(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 1) || !c.reads(x[0].Text()) {
		return nil
	}
	text := x[0].Text()
	b := make([]byte, len(text))
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return nil
		}
		b[len(b)-1-i] = text[i]
	}
	c.arena.Count(len(b))
	return c.made(string(b))
}

// The times that 64 bits of nanoseconds hold.
var minTime, maxTime = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

func parseRFC3339(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 1) || !c.reads(x[0].Text()) {
		return nil
	}
	t, err := time.Parse(time.RFC3339, x[0].Text())
	if err != nil || t.Before(minTime) || t.After(maxTime) {
		return nil
	}
	return c.arena.Int(t.UnixNano())
}
