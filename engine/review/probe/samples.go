package probe

import (
	"math"
	"net/netip"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// samplesOfRegex returns texts that a pattern matches, or nearly: repetitions none, one and two times, a dot by a
// separator and by a letter. nil if it cannot be parsed.
func samplesOfRegex(pattern string) []string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	return limited(regexSamples(re, 0), 12)
}

func limited(all []string, n int) []string {
	var kept []string
	for _, s := range all {
		if len(s) <= maxText && !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
		if len(kept) == n {
			break
		}
	}
	return kept
}

func regexSamples(re *syntax.Regexp, depth int) []string {
	if depth > 20 {
		return []string{""}
	}
	switch re.Op {
	case syntax.OpLiteral:
		text := string(re.Rune)
		if re.Flags&syntax.FoldCase != 0 {
			return []string{text, strings.ToUpper(text)}
		}
		return []string{text}
	case syntax.OpCharClass:
		return classSamples(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"x", ".", "0"}
	case syntax.OpCapture:
		return regexSamples(re.Sub[0], depth+1)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return repeated(re, depth)
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			all = append(all, limited(regexSamples(sub, depth+1), 2)...)
		}
		return limited(all, 12)
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			all = joined(all, regexSamples(sub, depth+1))
		}
		return all
	}
	return []string{""}
}

func classSamples(ranges []rune) []string {
	var all []string
	for _, want := range []rune{'a', '0', 'A', '-', '_', '.', '/', ' '} {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= want && want <= ranges[i+1] {
				all = append(all, string(want))
				break
			}
		}
	}
	for i := 0; i+1 < len(ranges) && len(all) < 6; i += 2 {
		if unicode.IsPrint(ranges[i]) {
			all = append(all, string(ranges[i]))
		}
		if unicode.IsPrint(ranges[i+1]) {
			all = append(all, string(ranges[i+1]))
		}
	}
	return limited(all, 4)
}

func repeated(re *syntax.Regexp, depth int) []string {
	one := limited(regexSamples(re.Sub[0], depth+1), 3)
	if len(one) == 0 {
		return []string{""}
	}
	least, most := 0, 2
	switch re.Op {
	case syntax.OpPlus:
		least = 1
	case syntax.OpQuest:
		most = 1
	case syntax.OpRepeat:
		if least = re.Min; re.Max >= 0 {
			most = re.Max
		} else {
			most = re.Min + 1
		}
	}
	var all []string
	for _, n := range []int{max(least, 1), least, most} {
		if n > 200 || n > most && re.Op == syntax.OpRepeat && re.Max >= 0 {
			continue
		}
		for _, s := range one {
			all = append(all, strings.Repeat(s, n))
		}
	}
	return limited(all, 6)
}

// joined is each head with each tail, the first of both first.
func joined(heads, tails []string) []string {
	if len(tails) == 0 {
		return heads
	}
	var all []string
	for sum := 0; sum < len(heads)+len(tails)-1 && len(all) < 24; sum++ {
		for i := 0; i <= sum; i++ {
			if i < len(heads) && sum-i < len(tails) {
				all = append(all, heads[i]+tails[sum-i])
			}
		}
	}
	return limited(all, 24)
}

// samplesOfGlob returns texts that a pattern of glob.match matches, or nearly: a star by nothing, by a letter, and by what
// crosses a separator.
func samplesOfGlob(pattern string, separators []string) []string {
	cross := []string{"a"}
	for _, sep := range separators {
		cross = append(cross, "a"+sep+"b", sep)
	}
	if len(separators) == 0 {
		cross = append(cross, "a.b")
	}
	cross = append(cross, "a/b", "")
	all := []string{""}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			for i+1 < len(pattern) && pattern[i+1] == '*' {
				i++
			}
			all = joined(all, cross)
		case '?':
			all = joined(all, []string{"a"})
		case '[', '{':
			end := strings.IndexByte(pattern[i:], map[byte]byte{'[': ']', '{': '}'}[c])
			if end < 0 {
				return nil
			}
			inner := pattern[i+1 : i+end]
			if c == '{' {
				all = joined(all, strings.Split(inner, ","))
			} else {
				all = joined(all, []string{strings.TrimLeft(inner, "!^")[:min(1, len(strings.TrimLeft(inner, "!^")))], "z"})
			}
			i += end
		case '\\':
			if i++; i < len(pattern) {
				all = joined(all, []string{string(pattern[i])})
			}
		default:
			all = joined(all, []string{string(c)})
		}
	}
	return limited(all, 12)
}

// samplesOfCIDR returns addresses of a network, and next to it: first, last, one between, the one before, the one behind.
func samplesOfCIDR(text string) (inside, outside []string) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		if a, err := netip.ParseAddr(text); err == nil {
			return []string{a.String()}, []string{a.Next().String()}
		}
		return nil, nil
	}
	p = p.Masked()
	first, last := p.Addr(), lastOf(p)
	inside = limited([]string{first.Next().String(), last.String(), first.String(), p.String()}, 4)
	if !p.Contains(first.Next()) {
		inside = []string{first.String(), p.String()}
	}
	for _, a := range []netip.Addr{last.Next(), first.Prev()} {
		if a.IsValid() {
			outside = append(outside, a.String())
		}
	}
	return inside, outside
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// near returns the edges of a value: numbers one less and one more, texts in capitals, longer and shorter, another kind.
func near(v any) []any {
	if f, ok := floatOf(v); ok {
		all := []any{number(f + 1), number(f - 1)}
		if f == math.Trunc(f) {
			all = append(all, number(f+0.5))
		}
		return append(all, number(-f), number(f*2), number(0))
	}
	switch v := v.(type) {
	case bool:
		return []any{!v}
	case string:
		all := []any{v + "x", "x" + v, strings.ToUpper(v), ""}
		if lower := strings.ToLower(v); lower != v {
			all = append(all, lower)
		}
		for _, sep := range []string{"/", ".", ":", "@", "-"} {
			if strings.Contains(v, sep) {
				all = append(all, strings.Replace(v, sep, "x", 1), strings.Replace(v, sep, sep+sep, 1), v+sep+"x", "x"+sep+v, v+sep)
			}
		}
		return append(all, " "+v+" ", number(1))
	case nil:
		return []any{"x", false}
	}
	return []any{"x"}
}
