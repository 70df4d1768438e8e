package engine

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/opacases"

	"github.com/open-policy-agent/opa/v1/ast"
)

// arrivalsByProgram are ways in which a program comes to decide for a generation: made for it, or taken over from the
// generation before, whose modules or whose data were others.
var arrivalsByProgram = map[string]func(t *testing.T, files fstest.MapFS, path eval.Path) *Generation{
	"made": made,
	"taken over with its data": func(t *testing.T, files fstest.MapFS, path eval.Path) *Generation {
		before := maps.Clone(files)
		before["unrelated.rego"] = &fstest.MapFile{Data: []byte("package unrelated_to_the_case\nx := 1")}
		return follow(t, before, files, path)
	},
	"taken over for other data": func(t *testing.T, files fstest.MapFS, path eval.Path) *Generation {
		before := maps.Clone(files)
		before["data.json"] = &fstest.MapFile{Data: []byte(`{"unrelated_data": {"a": [1, {"b": 2}]}}`)}
		return follow(t, before, files, path)
	},
	"made again for other modules": func(t *testing.T, files fstest.MapFS, path eval.Path) *Generation {
		before := maps.Clone(files)
		for name, f := range files {
			if strings.HasSuffix(name, ".rego") {
				before[name] = &fstest.MapFile{Data: append(append([]byte(nil), f.Data...), "\nrule_of_before := 1\n"...)}
			}
		}
		return follow(t, before, files, path)
	},
}

func made(t *testing.T, files fstest.MapFS, path eval.Path) *Generation {
	t.Helper()
	g := mustLoad(t, files, nil)
	_ = g.evaluator.Compile(t.Context(), path) // a path without a program stays with OPA's evaluator
	return g
}

func mustLoad(t *testing.T, files fstest.MapFS, previous *Generation) *Generation {
	t.Helper()
	g, err := Load(t.Context(), files, previous)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// nondeterministic matches builtins that answer anew each time.
var nondeterministic = regexp.MustCompile(`time\.now_ns|rand\.|uuid\.|opa\.runtime`)

// follow serves the files before, until a program decides for the path, and then the files.
func follow(t *testing.T, before, files fstest.MapFS, path eval.Path) *Generation {
	t.Helper()
	first, err := Load(t.Context(), before, nil)
	if err != nil {
		return made(t, files, path) // a case may not hold with other data, or with a rule more
	}
	_ = first.evaluator.Compile(t.Context(), path)
	_, _ = first.Evaluate(t.Context(), Path(path), nil)
	g := mustLoad(t, files, first)
	g.evaluator.TakeOver(t.Context(), first.evaluator, func() bool { return true })
	return g
}

// TestOPAsConformanceCasesAreDecidedAlikeByProgramsHoweverTheyCame compares values and errors in both modes with what
// OPA's evaluator gives for the same generation.
func TestOPAsConformanceCasesAreDecidedAlikeByProgramsHoweverTheyCame(t *testing.T) {
	all, err := opacases.All()
	if err != nil {
		t.Fatal(err)
	}
	decided, failed := map[string]uint64{}, 0
	for number, tc := range all {
		id := path.Base(tc.Filename) + ": " + tc.Note
		m := ofPath.FindStringSubmatch(tc.Query)
		if m == nil || whyExcluded(tc, id) != "" {
			continue
		}
		t.Run(strings.ReplaceAll(id, "/", "_"), func(t *testing.T) {
			for k, v := range tc.Env {
				t.Setenv(k, v)
			}
			var input ast.Value
			if term := inputOf(tc); term != nil {
				input = term.Value
			}
			files, of, place := corpusOf(t, tc), Path(strings.Split(m[1], ".")[1:]), 0
			for _, how := range slices.Sorted(maps.Keys(arrivalsByProgram)) {
				if place++; !*thorough && number%2 != place%2 {
					continue
				}
				plain, g := mustLoad(t, files, nil), arrivalsByProgram[how](t, files, eval.Path(of))
				for _, strict := range []bool{true, false} {
					want, err1 := oursAnswer(t.Context(), plain, of, input, strict)
					got, err2 := oursAnswer(t.Context(), g, of, input, strict)
					if err1 != nil || err2 != nil {
						continue // too slow for one of them, on a busy machine
					}
					if want.value == nil {
						failed++
					}
					if !got.same(want) && !nondeterministic.MatchString(strings.Join(tc.Modules, "\n")) {
						t.Errorf("%s, strict %t: %s; want %s", how, strict, got.text, want.text)
					}
				}
				w := wayOf(g, of)
				decided[how] += w.ByProgram - w.Asked
			}
		})
	}
	t.Logf("decisions by programs: %v; %d without a value", decided, failed)
	for how := range arrivalsByProgram {
		if decided[how] < 2000 && !t.Failed() {
			t.Errorf("only %d decisions were made by a program that was %s", decided[how], how)
		}
	}
	if failed < 100 && !t.Failed() {
		t.Errorf("only %d answers were none or errors", failed)
	}
}
