package jsonast_test

import (
	"errors"
	"strings"
	"testing"

	"defenseclaw/engine/internal/jsonast"
)

func TestANumberHasABoundOfDigits(t *testing.T) {
	for _, n := range []struct {
		text string
		many bool
	}{
		{"0", false}, {"-1.50", false}, {"1e308", false}, {"1E-400", false}, {"123456.789e+5", false}, {"1e9999", false},
		{strings.Repeat("1", 10_000), false}, {strings.Repeat("1", 10_001), true}, {"-" + strings.Repeat("1", 10_001), true}, {"0." + strings.Repeat("1", 10_001), true},
		{"1e10001", true}, {"1E+1000000000", true}, {"1e-1000000000", true}, {"1e99999999999999999999999", true}, {"1e0000000000000000010001", true},
	} {
		for _, text := range []string{n.text, `{"a":[1, ` + n.text + `]}`} {
			if _, err := jsonast.Value([]byte(text)); (err != nil) != n.many {
				t.Errorf("%.40s is read: %v", text, err)
			}
			if err := jsonast.CheckNumbers([]byte(text)); (err != nil) != n.many || n.many && !errors.As(err, new(*jsonast.TooManyDigits)) {
				t.Errorf("%.40s is checked: %v", text, err)
			}
			if got := jsonast.MayHaveTooManyDigits([]byte(text)); n.many && !got {
				t.Errorf("%.40s may have too many digits", text)
			}
		}
	}
	for _, text := range []string{`"` + strings.Repeat("1", 20_000) + `"`, `{"1e1000000": "\"1e1000000"}`, `"open`, ``, strings.Repeat("1 ", 20_000)} {
		if err := jsonast.CheckNumbers([]byte(text)); err != nil {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}
