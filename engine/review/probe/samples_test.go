package probe

import (
	"net/netip"
	"regexp"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

func TestSamplesMatchTheirPatterns(t *testing.T) {
	for _, pattern := range []string{`^[a-z]+$`, `registry\.corp/`, `^(a|bc)d{2,3}x?$`, `(?i)admin`, `^\d{3}-\w+$`, `^.*$`} {
		matches := 0
		for _, s := range samplesOfRegex(pattern) {
			if regexp.MustCompile(pattern).MatchString(s) {
				matches++
			}
		}
		if matches == 0 {
			t.Errorf("no sample of %s matches it: %q", pattern, samplesOfRegex(pattern))
		}
	}
	inside, outside := samplesOfCIDR("192.168.6.0/23")
	p := netip.MustParsePrefix("192.168.6.0/23")
	for i, all := range [][]string{inside, outside} {
		for _, s := range all {
			if a, err := netip.ParseAddr(s); err == nil && p.Contains(a) != (i == 0) {
				t.Errorf("%s in %v", s, p)
			}
		}
	}
	if len(inside) < 3 || len(outside) != 2 {
		t.Error(inside, outside)
	}
}

func FuzzSamples(f *testing.F) {
	for _, s := range []string{`^[a-z]+$`, `(a{200}){200}`, "**/x[!a]{b,c}?", "10.0.0.0/8", "::/0", `\`, "[", "{", "[!]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		inside, outside := samplesOfCIDR(pattern)
		for _, all := range [][]string{samplesOfRegex(pattern), samplesOfGlob(pattern, []string{"/"}), inside, outside} {
			for _, s := range all {
				if len(s) > maxText {
					t.Errorf("a sample of %d bytes", len(s))
				}
			}
		}
	})
}

// FuzzEdit sets a place of an input, and finds there what it set; what it was made of stays as it was.
func FuzzEdit(f *testing.F) {
	f.Add(`{"a": [1, {"b": 2}]}`, "a", 1, `"x"`)
	f.Add(`[]`, "", 0, `null`)
	f.Add(`{"a": 1}`, "a", 3, `{}`)
	f.Fuzz(func(t *testing.T, text, member string, index int, value string) {
		input, err := parseText([]byte(text))
		now, err2 := parseText([]byte(value))
		if err != nil || err2 != nil || index < 0 || index > maxLength {
			return
		}
		before := textOf(input)
		for _, at := range []place{{member}, {index}, {member, index}, {index, member}} {
			changed := set(input, at, now)
			if got, ok := get(changed, at); now != nil && (!ok || textOf(got) != textOf(now)) {
				t.Errorf("%v of %s is %s", at, textOf(changed), textOf(got))
			}
			set(changed, at, absent{})
			if textOf(input) != before {
				t.Fatalf("%v changed %s to %s", at, before, textOf(input))
			}
		}
	})
}

func TestTermsKnowTheirPlaces(t *testing.T) {
	input, err := parseText([]byte(`{"a": [true, 1, {"b": null, "c": "x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	places := map[*ast.Term]place{}
	root := terms(input, nil, places)
	if got, err := ast.JSON(root.Value); err != nil || textOf(got) != textOf(input) {
		t.Error(got, err)
	}
	if len(places) != 7 {
		t.Errorf("%d places", len(places))
	}
	for term, at := range places {
		want, _ := plain(term.Value)
		if got, ok := get(input, at); !ok || textOf(got) != textOf(want) {
			t.Errorf("%v: %v, want %v", at, got, want)
		}
	}
}
