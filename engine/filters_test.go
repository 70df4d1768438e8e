package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

func filtered(t *testing.T) *Generation {
	t.Helper()
	g, err := Load(t.Context(), fstest.MapFS{
		"a/p.rego": {Data: []byte(`# METADATA
# scope: package
# compile:
#   unknowns: [input.rows]
package a.p

# METADATA
# compile:
#   mask_rule: masks
include if input.rows.x in data.allowed

masks.rows.y := {"replace": {"value": "*"}} if input.user != "root"

slow if { some i in numbers.range(1, 100000000); input.rows.x == i }

fails if input.rows.x == 1 / input.zero`)},
		"data.json": {Data: []byte(`{"allowed":["b","c"]}`)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestFiltersAreMadeBesideDecisionsAndAreTheSameEachTime(t *testing.T) {
	g := filtered(t)
	user := ast.NewObject(ast.Item(ast.StringTerm("user"), ast.StringTerm("u")))
	sqlite, ucast := Target{"sql", "sqlite"}, Target{"ucast", "prisma"}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			ctx := context.WithoutCancel(t.Context())
			for range 20 {
				found, used, err := g.Filters(ctx, FilterRequest{Path: Path{"a", "p", "include"}, Input: user, Targets: []Target{sqlite, ucast}}, Observation{})
				if err != nil || fmt.Sprint(used.Unknowns, used.Mask) != "[input.rows] data.a.p.masks" {
					t.Errorf("%v %v: %v", used.Unknowns, used.Mask, err)
					return
				}
				f := found.For("sql", "sqlite")
				if f.Query != "WHERE rows.x IN ('b', 'c')" || fmt.Sprint(f.Masks) != "map[rows:map[y:map[replace:map[value:*]]]]" || found.For("ucast", "prisma").Query == nil {
					t.Errorf("%v", f)
				}
				set, err := g.Query(ctx, ast.MustParseBody(`data.a.p.include with input.rows.x as "b"`), nil, Observation{})
				if err != nil || len(set) != 1 {
					t.Errorf("a decision beside: %v %v", set, err)
				}
			}
		})
	}
	all.Wait()
}

func TestFiltersAreHeldToThePolicysRules(t *testing.T) {
	g := filtered(t)
	sql := []Target{{"sql", "mysql"}}
	zero := ast.NewObject(ast.Item(ast.StringTerm("zero"), ast.InternedTerm(0)))
	if _, _, err := g.Filters(t.Context(), FilterRequest{Path: Path{"a", "p", "fails"}, Input: zero, Targets: sql}, Observation{}); err == nil {
		t.Error("an error of a builtin is no error")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := g.Filters(ctx, FilterRequest{Path: Path{"a", "p", "slow"}, Targets: sql}, Observation{}); !errors.Is(err, ErrDecisionTimeout) {
		t.Errorf("a rule that takes too long: %v", err)
	}
	if _, _, err := g.Filters(t.Context(), FilterRequest{Path: Path{"a", "p", "include"}, Targets: []Target{{"none", ""}}}, Observation{}); err == nil {
		t.Error("there is a language called none")
	}
}

func TestAPathThatNothingCanHaveHasNoFiltersAlsoAfterAReload(t *testing.T) {
	files := fstest.MapFS{"a.rego": {Data: []byte("package a\nx := 1")}, "b.rego": {Data: []byte("package b\ny := data.a.x")}}
	var g *Generation
	for _, text := range []string{"package b\ny := data.a.x", "package b\ny := data.a.x + 1"} {
		files["b.rego"] = &fstest.MapFile{Data: []byte(text)}
		var err error
		if g, err = Load(t.Context(), files, g); err != nil {
			t.Fatal(err)
		}
		_, _, err = g.Filters(t.Context(), FilterRequest{Path: Path{"a", "x", "z"}, Targets: []Target{{"sql", "mysql"}}}, Observation{})
		if err == nil || !strings.Contains(err.Error(), "undefined ref: data.a.x.z") || errors.As(err, new(ast.Errors)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
