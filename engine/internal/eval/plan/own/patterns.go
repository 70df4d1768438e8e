package own

import (
	"net"
	"strconv"
	"strings"
	"unicode/utf8"

	"defenseclaw/engine/internal/eval/plan/value"
)

var patterns = map[string]Builtin{
	"glob.match":        globMatch,
	"regex.match":       regexMatch,
	"net.cidr_contains": cidrContains,
	"semver.compare":    semverCompare,
	"semver.is_valid":   semverIsValid,
}

// No automaton is made of all patterns of a list. With patterns that are kept, an element costs 150 ns, a network 60, and
// 31 routes with 20 networks are decided in 12 µs, half of which is the token and the rest.

// maxMatched bounds a text that is matched: a match cannot be interrupted.
const maxMatched = 1 << 14

func globMatch(c *Call, x []*value.Node) *value.Node {
	if len(x) != 3 || x[0].Kind() != value.String || x[2].Kind() != value.String || len(x[2].Text()) > maxMatched {
		return nil
	}
	delimiters, ok := c.delimiters(x[1])
	if !ok || !c.reads(x[0].Text(), x[2].Text()) {
		return nil
	}
	p := c.Kept.glob(x[0], delimiters)
	if p == nil {
		return nil
	}
	return value.Bool(p.Match(x[2].Text()))
}

// delimiters are one after the other: each is one rune.
func (c *Call) delimiters(x *value.Node) (string, bool) {
	switch {
	case x.Kind() == value.Null:
		return "", true
	case x.Kind() != value.Array || x.Len() > maxKeptText:
		return "", false
	case x.Len() == 0:
		return ".", true
	}
	for i := range x.Len() {
		if e := x.Elem(i); e.Kind() != value.String || !isRune(e.Text()) {
			return "", false
		}
	}
	if x.Len() == 1 {
		return x.Elem(0).Text(), true
	}
	c.text = c.text[:0]
	for i := range x.Len() {
		c.text = append(c.text, x.Elem(i).Text()...)
	}
	return string(c.text), true
}

func isRune(s string) bool {
	r, size := utf8.DecodeRuneInString(s)
	return size == len(s) && r != utf8.RuneError
}

func regexMatch(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 2) || len(x[1].Text()) > maxMatched || !c.reads(x[1].Text()) {
		return nil
	}
	p := c.Kept.pattern(x[0])
	if p == nil {
		return nil
	}
	matches, ok := p.match(c, x[1].Text())
	if !ok {
		return nil
	}
	return value.Bool(matches)
}

// cidrContains takes addresses; whether a network is within another is left to OPA's.
func cidrContains(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 2) || !c.spend(1) {
		return nil
	}
	network := c.Kept.network(x[0])
	if network == nil {
		return nil
	}
	if c.address == nil || c.addressText != x[1].Text() {
		ip := net.ParseIP(x[1].Text())
		if ip == nil {
			return nil
		}
		c.address, c.addressText = ip, x[1].Text() // loops ask with one address for many networks
	}
	return value.Bool(network.Contains(c.address))
}

// version is one without a pre-release or metadata, whose rules are left to OPA's.
type version [3]int64

func versionOf(text string) (v version, ok bool) {
	const digits = 18
	text = strings.TrimPrefix(text, "v")
	for i := range v {
		part, rest, more := strings.Cut(text, ".")
		if more != (i < len(v)-1) || part == "" || len(part) > digits || part[0] == '0' && len(part) > 1 {
			return v, false
		}
		for _, d := range []byte(part) {
			if d < '0' || d > '9' {
				return v, false
			}
		}
		v[i], _ = strconv.ParseInt(part, 10, 64)
		text = rest
	}
	return v, true
}

func semverCompare(c *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 2) {
		return nil
	}
	a, ok1 := versionOf(x[0].Text())
	b, ok2 := versionOf(x[1].Text())
	if !ok1 || !ok2 {
		return nil
	}
	for i := range a {
		switch {
		case a[i] < b[i]:
			return c.arena.Int(-1)
		case a[i] > b[i]:
			return c.arena.Int(1)
		}
	}
	return c.arena.Int(0)
}

func semverIsValid(_ *Call, x []*value.Node) *value.Node {
	if !areTexts(x, 1) {
		return nil
	}
	if _, ok := versionOf(x[0].Text()); ok {
		return value.True
	}
	return nil
}
