package own_test

import (
	"regexp"
	"testing"

	"defenseclaw/engine/internal/eval/plan/own"

	"pgregory.net/rapid"
)

// drawnPatterns nest what expressions are made of, anchors in all places among it.
func drawnPatterns() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string { return drawnPattern(t, 4) })
}

func drawnPattern(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 12).Draw(t, "kind")
	if depth == 0 {
		kind %= 6
	}
	part := func() string { return drawnPattern(t, depth-1) }
	switch kind {
	case 0, 1, 2:
		return rapid.SampledFrom([]string{"a", "b", "ab", "[ab]", "[^a]", ".", `\d`, `\w`, `\s`, "(?i:a)", "(?s:.)", "é", "[a-é]", "(?i:k)", `\n`, ""}).Draw(t, "leaf")
	case 3:
		return rapid.SampledFrom([]string{"^", "$", `\A`, `\z`, "(?m:^)", "(?m:$)", `\b`, `\B`}).Draw(t, "place")
	case 4, 5:
		return "a"
	case 6:
		return "(" + part() + ")" + rapid.SampledFrom([]string{"*", "+", "?", "*?", "{2}", "{1,3}", "{0,2}", ""}).Draw(t, "times")
	case 7, 8:
		return "(?:" + part() + "|" + part() + ")"
	default:
		return part() + part()
	}
}

func TestAnAutomatonMatchesAsGosMatcher(t *testing.T) {
	made := 0
	rapid.Check(t, func(t *rapid.T) {
		pattern := drawnPatterns().Draw(t, "pattern")
		re, err := regexp.Compile(pattern)
		match, ok := own.MatchByAutomaton(pattern)
		if err != nil || !ok {
			return
		}
		made++
		for range 20 {
			text := rapid.StringOfN(rapid.RuneFrom([]rune("aabbkK1 \n_A\u212aé")), 0, 9, -1).Draw(t, "text")
			if got, ok := match(text); ok && got != re.MatchString(text) {
				t.Fatalf("%q in %q: %v", pattern, text, got)
			}
		}
	})
	if made < 20 {
		t.Errorf("%d automatons were made", made)
	}
}

func TestAnAutomatonIsBounded(t *testing.T) {
	for _, pattern := range []string{
		"(a|b)*a(a|b){40}", "(a{30}|b{29}){30}", "((a*b*)*c*)*{9}", "[a-z]{200}x?[0-9]{200}", "(x+x+)+y", ".*.*.*.*.*.*=.*",
	} {
		match, made := own.MatchByAutomaton(pattern)
		if !made {
			continue
		}
		re := regexp.MustCompile(pattern)
		for _, text := range []string{"", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "a=b", "aab"} {
			if got, ok := match(text); ok && got != re.MatchString(text) {
				t.Errorf("%q in %q: %v", pattern, text, got)
			}
		}
	}
	if _, made := own.MatchByAutomaton("(a|b)*a(a|b){40}"); made {
		t.Error("an automaton of 2^40 states was made")
	}
}
