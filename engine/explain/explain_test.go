package explain_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/explain"
)

func load(t testing.TB, files map[string]string) *engine.Generation {
	t.Helper()
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := engine.Load(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const policy = `package p

limit := 10

allow if {
	input.role == "admin"
	size := input.size
	size < limit
}

allow if input.role == "root"

late if input.hour > 23

every_small if {
	every x in input.xs {
		x < 10
	}
}
`

func evaluate(t *testing.T, g *engine.Generation, path, input string, o explain.Options) explain.Answer {
	t.Helper()
	p, err := explain.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := explain.Evaluate(t.Context(), g, p, []byte(input), o)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestAnExplanationNamesWhatFiredAndWhatFailed(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	for input, want := range map[string]explain.Reason{
		`{"role":"admin","size":30}`: {explain.Failed, "data.p.allow", "p.rego", 8, "size < limit", []explain.Value{{"size", "30"}, {"limit", "10"}}},
		`{"role":"guest"}`:           {explain.Failed, "data.p.allow", "p.rego", 6, `input.role == "admin"`, []explain.Value{{"input.role", `"guest"`}}},
		`{}`:                         {explain.Failed, "data.p.allow", "p.rego", 11, `input.role == "root"`, []explain.Value{{"input.role", ""}}},
		`{"role":"admin","size":3}`:  {explain.Fired, "data.p.allow", "p.rego", 5, "allow if {", nil},
	} {
		answer := evaluate(t, g, "data.p.allow", input, explain.Options{Explain: true})
		same := func(r explain.Reason) bool { return fmt.Sprint(r) == fmt.Sprint(want) }
		if !slices.ContainsFunc(answer.Reasons, same) || answer.Incomplete != "" || answer.MoreReasons {
			t.Errorf("%s: want %v in\n%v %q", input, want, answer.Reasons, answer.Incomplete)
		}
	}
}

func TestALineIsCoveredWhereTheDecisionEvaluatedIt(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	for input, want := range map[string]explain.Lines{
		// The index excludes the second rule, which early exit would leave out too.
		`{"role":"admin","size":3}`:  {Covered: []int{3, 5, 6, 7, 8}, Skipped: []int{11}, Missed: []int{13, 15, 16, 17, 18}},
		`{"role":"admin","size":30}`: {Covered: []int{3, 6, 7, 8}, Excluded: []int{11}, Missed: []int{5, 13, 15, 16, 17, 18}},
		// The index excludes both, by the role: the decision evaluates no line at all, and the roles are false.
		`{"role":"guest"}`: {Excluded: []int{6, 11}, Missed: []int{3, 5, 7, 8, 13, 15, 16, 17, 18}},
	} {
		answer := evaluate(t, g, "p/allow", input, explain.Options{Coverage: true})
		if got := answer.Lines["p.rego"]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v; want %+v", input, got, want)
		}
	}
	answer := evaluate(t, g, "p/every_small", `{"xs":[]}`, explain.Options{Coverage: true})
	if got := answer.Lines["p.rego"]; !slices.Contains(got.Covered, 16) || !slices.Contains(got.Missed, 17) {
		t.Errorf("the body of an every over nothing was not evaluated: %+v", got)
	}
}

func TestAHeavyRuleIsExplainedWithinBounds(t *testing.T) {
	g := load(t, map[string]string{"p.rego": "package p\n\nheavy if {\n\tsome i in numbers.range(1, 3000)\n\tsome j in numbers.range(1, 3000)\n\ti * j == input.no\n}\n\nmany if {\n\tsome i in numbers.range(1, 500)\n\ti == input.no\n}\n"})
	answer := evaluate(t, g, "p/many", `{"no":-1}`, explain.Options{Explain: true})
	if answer.Defined || !answer.MoreReasons || len(answer.Reasons) == 0 || len(answer.Reasons) > explain.MaxReasons {
		t.Errorf("%d reasons, more: %t", len(answer.Reasons), answer.MoreReasons)
	}
	answer = evaluate(t, g, "p/many", `{"no":-1}`, explain.Options{Explain: true, MaxSteps: 100})
	if !strings.Contains(answer.Incomplete, "ends after 100 steps") || len(answer.Reasons) == 0 {
		t.Errorf("%q, %d reasons", answer.Incomplete, len(answer.Reasons))
	}
	answer = evaluate(t, g, "p/heavy", `{"no":-1}`, explain.Options{Explain: true, Coverage: true, Timeout: 50 * time.Millisecond})
	if !errors.Is(answer.Failed, engine.ErrDecisionTimeout) || answer.Incomplete == "" || answer.Defined {
		t.Errorf("%v, %q", answer.Failed, answer.Incomplete)
	}
}

func TestAValueThatIsLongIsDescribed(t *testing.T) {
	g := load(t, map[string]string{"p.rego": "package p\n\nx if {\n\tv := input.v\n\tv == 1\n}\n"})
	for value, want := range map[string]string{
		`[` + strings.Repeat("1,", 5000) + `1]`:   "[… 5001 elements]",
		`"` + strings.Repeat("a", 10_000) + `"`:   `"aaa`,
		`{"a":"` + strings.Repeat("é", 90) + `"}`: `{"a": "ééé`,
	} {
		answer := evaluate(t, g, "p/x", `{"v":`+value+`}`, explain.Options{Explain: true})
		found := slices.ContainsFunc(answer.Reasons, func(r explain.Reason) bool {
			return slices.ContainsFunc(r.Values, func(v explain.Value) bool {
				return v.Name == "v" && strings.HasPrefix(v.Text, want) && len(v.Text) < 400
			})
		})
		if !found {
			t.Errorf("want v = %s… in %v", want, answer.Reasons)
		}
	}
}

func TestWhatThePolicyDoesWrongIsPartOfTheAnswer(t *testing.T) {
	g := load(t, map[string]string{"p.rego": "package p\n\nx := 1 if input.a\n\nx := 2 if input.b\n\ny := to_number(input.c)\n"})
	answer := evaluate(t, g, "p/x", `{"a":true,"b":true}`, explain.Options{Explain: true})
	if answer.Failed == nil || !strings.Contains(answer.Failed.Error(), "conflict") || answer.Incomplete == "" {
		t.Errorf("%v %q", answer.Failed, answer.Incomplete)
	}
	if answer := evaluate(t, g, "p/y", `{"c":"x"}`, explain.Options{}); answer.Failed != nil || answer.Defined {
		t.Errorf("lenient: %+v", answer)
	}
	if answer := evaluate(t, g, "p/y", `{"c":"x"}`, explain.Options{Strict: true}); answer.Failed == nil {
		t.Errorf("strict: %+v", answer)
	}
}

func TestErrorsOfTheCaller(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	if _, err := explain.Evaluate(t.Context(), g, engine.Path{"p", "alow"}, nil, explain.Options{}); !errors.Is(err, explain.ErrNoDocument) {
		t.Error(err)
	}
	if _, err := explain.Evaluate(t.Context(), g, engine.Path{"p", "allow"}, []byte(`{`), explain.Options{}); err == nil || !strings.Contains(err.Error(), "the input") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := explain.Evaluate(ctx, g, engine.Path{"p", "allow"}, nil, explain.Options{Explain: true}); err == nil {
		t.Error("a caller that has gone is answered")
	}
}

func TestFind(t *testing.T) {
	g := load(t, map[string]string{
		"a.rego": "package a.b\n\nallow if input.x\n\nallow if input.y\n\nf(x) := x\n\ntest_allow if allow\n",
		"c.rego": "package c\n\n# METADATA\n# entrypoint: true\ndeny contains \"x\" if input.x\n\nm[input.k] := 1\n",
		"d.rego": "package d[\"v1.2\"]\n\nok := true\n",
	})
	paths := func(search string, limit int) (found []string, more int) {
		documents, more := explain.Find(g, search, limit)
		for _, d := range documents {
			if _, err := explain.ParsePath(d.Path); err != nil {
				t.Errorf("%s: %v", d.Path, err)
			}
			found = append(found, d.Path)
		}
		return found, more
	}
	all, _ := paths("", 100)
	if want := []string{"c/deny", "a/b", "a/b/allow", "c", "c/m", "d/v1%2E2", "d/v1%2E2/ok"}; !slices.Equal(all, want) {
		t.Errorf("%v; want %v", all, want)
	}
	if found, more := paths("data.a.ALLOW", 100); !slices.Equal(found, []string{"a/b/allow"}) || more != 0 {
		t.Errorf("%v %d", found, more)
	}
	if found, more := paths("", 2); len(found) != 2 || more != 5 {
		t.Errorf("%v %d", found, more)
	}
	if p, err := explain.ParsePath("d/v1%2E2/ok"); err != nil || !slices.Equal(p, engine.Path{"d", "v1.2", "ok"}) {
		t.Errorf("%q %v", p, err)
	}
}

// A finder finds what a new one finds, whatever it has seen before.
func TestAFinderGoesOnWithTheNextGeneration(t *testing.T) {
	var f explain.Finder
	for _, files := range []map[string]string{
		{"a.rego": "package a\nx := 1\ny := 2", "b.rego": "package b\nx := data.a.x"},
		{"a.rego": "package a\nx := 1\nz := 2", "b.rego": "package b\nx := data.a.x", "b2.rego": "package b\n# METADATA\n# entrypoint: true\ny := 1\nx := 1 if data.a.z"},
		{"b2.rego": "package b\ny := 1"},
	} {
		g := load(t, files)
		for _, search := range []string{"", "b", "none"} {
			for _, limit := range []int{0, 1, 3, 100} {
				got, more := f.Find(g, search, limit)
				want, left := explain.Find(g, search, limit)
				if !slices.Equal(got, want) || more != left {
					t.Errorf("%q, %d: %+v and %d; want %+v and %d", search, limit, got, more, want, left)
				}
			}
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"data.a.b", "a/b", "a.b", "a/v1%2E2", "%zz", `a"b`, ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path, err := explain.ParsePath(text)
		if err == nil && slices.ContainsFunc(path, func(part string) bool { return part == "" && !strings.Contains(text, "%") }) {
			t.Errorf("%q has an empty part: %q", text, path)
		}
	})
}
