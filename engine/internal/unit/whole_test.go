package unit_test

import (
	"strings"
	"testing"

	"defenseclaw/engine/internal/unit"
)

func TestWhyWholeNamesTheCause(t *testing.T) {
	for name, c := range map[string]struct {
		modules []string
		want    string
	}{
		"a fixed part after a variable":  {[]string{"package a\np[k].z := 1 if k := input.k"}, "data.a.p "},
		"a rule below a variable":        {[]string{"package a\np[k] := 1 if k := input.k\np.q.r := 2"}, "data.a.p,"},
		"a rule below, in another file":  {[]string{"package a\np[k] := 1 if k := input.k", "package a\np.q.r := 2"}, "data.a.p,"},
		"a package below":                {[]string{"package a\np[k] := 1 if k := input.k", "package a.p.q\nx := 1"}, "data.a.p,"},
		"hidden packages as a whole":     {[]string{"package a\nx := data.system", "package system.b\nx := 1"}, "package data.a "},
		"hidden packages by all of data": {[]string{"package a\nx := data[input.k]", "package system.b\nx := 1"}, "package data.a "},
		"one hidden package":             {[]string{"package a\nx := data.system.b.x", "package system.b\nx := 1"}, ""},
		"the usual":                      {[]string{"package a\np[k] := 1 if k := input.k\ns contains 1\nb.c := 1", "package a.b.d\nx := 1"}, ""},
		"nested variables":               {[]string{"package a\np[k][l] := 1 if { k := input.k; l := 2 }"}, ""},
		"all of data, nothing hidden":    {[]string{"package a\nx := data[input.k]", "package b\nx := 1"}, ""},
	} {
		g := graph(t, c.modules...)
		got := g.WhyWhole(unit.SetOf(g.Keys()...))
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q; want it to name %q", name, got, c.want)
		}
	}
}
