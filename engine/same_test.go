package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

var (
	decisionsFlag = flag.Int("decisions", 12_000, "make this many decisions by generated policies, and compare them with OPA's")
	seedFlag      = flag.Uint64("seed", 1, "the first seed of generated policies; 0: a random one")
)

// A difference is one decision that is not OPA's.
type difference struct {
	way    int // index of ways
	path   Path
	input  string
	strict bool
	got    string
	want   string
}

func (d difference) String() string {
	return fmt.Sprintf("%s of %s, %s, strict %t:\n  ours %s\n  OPA's %s", d.path, d.input, ways[d.way].name, d.strict, d.got, d.want)
}

// tally counts what a run compared.
type tally struct {
	policies, refused, decisions, defined, failed, slow, rules int
	byProgram, asked                                           uint64 // decisions that programs made, and those that they left
	codes                                                      map[string]int
}

// TestSamenessOfGeneratedPolicies compares decisions in every way with OPA's evaluator. `make sameness` makes a million.
func TestSamenessOfGeneratedPolicies(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64() >> 1
	}
	first, begun, all := seed, time.Now(), &tally{codes: map[string]int{}}
	found := 0
	for ; all.decisions < *decisionsFlag && found < 5; seed++ {
		c := drawCase(seed)
		diff, c, err := compareCase(t.Context(), c, all)
		switch {
		case err != nil:
			t.Fatalf("seed %d: %v\n%s", seed, err, c.reproducer(difference{}))
		case diff != nil:
			found++
			c, smaller := shrink(t.Context(), c, *diff)
			t.Errorf("seed %d (go test ./engine -run=Sameness -seed=%[1]d -decisions=1): a decision differs. Found as %s\n"+
				"Shrunk, for engine/testdata/same/NAME.txtar:\n%s", seed, diff, c.reproducer(smaller))
		}
	}
	t.Logf("seeds %d to %d, %s: %d policies of %d rules (%d refused), %d decisions, of which %d had a value, %d failed, %d took too long; "+
		"programs made %d and left %d; %v", first, seed-1, time.Since(begun).Round(time.Millisecond), all.policies, all.rules, all.refused,
		all.decisions, all.defined, all.failed, all.slow, all.byProgram, all.asked, all.codes)
	if *decisionsFlag < 50_000 {
		return // too few policies to say something of all
	}
	if all.refused > all.policies/10 || all.byProgram < uint64(all.decisions)/5 || all.defined < all.decisions/4 || all.failed < all.decisions/200 {
		t.Error("the policies are not of the kinds that this test is about")
	}
}

// compareCase asks for every document of a case in every way. It returns the first difference, and the case without what does
// not compile.
func compareCase(ctx context.Context, c sameCase, all *tally) (*difference, sameCase, error) {
	c, o, err := repaired(c)
	if errors.Is(err, errNotCompiled) {
		all.refused++
		return nil, c, nil
	}
	if err != nil {
		return nil, c, err
	}
	g, err := c.generation(ctx)
	if refused := (*Refused)(nil); errors.As(err, &refused) {
		all.refused++
		all.codes[refusalKind(refused)]++
		return nil, c, nil
	}
	if err != nil {
		return nil, c, err
	}
	all.policies++
	for _, m := range c.modules {
		all.rules += len(m.rules)
	}
	inputs, err := c.parsedInputs()
	if err != nil {
		return nil, c, err
	}
	for _, path := range c.paths {
		wants := map[bool][]answer{}
		for _, strict := range []bool{true, false} {
			for _, input := range inputs {
				want, err := answer{}, error(nil)
				if n := len(wants[true]); n == 0 || wants[true][n-1].text != "" { // after one that is too slow, the rest is left out
					want, err = o.ask(ctx, path, input, strict)
				}
				if err != nil && !errors.Is(err, errTooSlow) {
					return nil, c, err
				}
				wants[strict] = append(wants[strict], want) // empty of one that is too slow
			}
		}
		diff, err := comparePath(ctx, c, g, path, inputs, wants, all)
		if diff != nil || err != nil {
			return diff, c, err
		}
	}
	for _, way := range g.Ways() {
		all.byProgram += way.ByProgram - way.Asked
		all.asked += way.Asked
	}
	return nil, c, nil
}

func comparePath(
	ctx context.Context, c sameCase, g *Generation, path Path, inputs []ast.Value, wants map[bool][]answer, all *tally,
) (*difference, error) {
	for way := range ways {
		if err := ways[way].reach(ctx, g, path); err != nil {
			return nil, fmt.Errorf("reach the %s of %s: %w", ways[way].name, path, err)
		}
		for _, strict := range []bool{true, false} {
			for i, input := range inputs {
				want := wants[strict][i]
				if want.text == "" {
					all.slow++
					continue
				}
				got, err := oursAnswer(ctx, g, path, input, strict)
				if errors.Is(err, errTooSlow) {
					all.slow++
					continue
				}
				if err != nil {
					got = answer{text: "error of another kind: " + err.Error()}
				}
				if !got.same(want) {
					return &difference{way, path, c.inputs[i], strict, got.text, want.text}, nil
				}
				all.count(want.text)
			}
		}
	}
	return nil, nil
}

func (a *tally) count(answer string) {
	rest, failed := strings.CutPrefix(answer, "error ")
	if strings.HasPrefix(rest, "rego_") {
		return // the types of the rules allow no such path, whatever the input
	}
	a.decisions++
	switch {
	case failed:
		a.failed++
		code, _, _ := strings.Cut(rest, " ")
		a.codes[code]++
	case answer != "undefined":
		a.defined++
	}
}

// refusalKind is a refusal without its names, so that refusals can be counted.
func refusalKind(r *Refused) string {
	if len(r.Diagnostics) == 0 {
		return "refused: " + r.Error()
	}
	words := strings.Fields(r.Diagnostics[0].Message)
	return "refused: " + strings.Join(words[:min(len(words), 6)], " ")
}

func (c sameCase) parsedInputs() ([]ast.Value, error) {
	var all []ast.Value
	for _, text := range c.inputs {
		if text == "" {
			all = append(all, nil)
			continue
		}
		value, err := ParseJSON([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("the input %s: %w", text, err)
		}
		all = append(all, value)
	}
	return all, nil
}

// TestSamenessOfKnownCases has what once differed, and what is easily got wrong.
func TestSamenessOfKnownCases(t *testing.T) {
	names, err := filepath.Glob("testdata/same/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(6) { // each way of arriving at the generation
			c := parseReproducer(text)
			c.seed = seed
			if _, err := newOPAs(c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all := &tally{codes: map[string]int{}}
			diff, _, err := compareCase(t.Context(), c, all)
			if err != nil || diff != nil || all.refused > 0 || all.decisions == 0 {
				t.Errorf("%s: %d decisions; %v %v %v", name, all.decisions, diff, err, all.codes)
			}
		}
	}
}

func TestACaseIsDrawnAlikeFromItsSeed(t *testing.T) {
	for seed := range uint64(20) {
		a, b := drawCase(seed), drawCase(seed)
		same := slices.EqualFunc(a.modules, b.modules, func(a, b drawnModule) bool { return a.text() == b.text() })
		if !same || a.data != b.data || !slices.Equal(a.inputs, b.inputs) {
			t.Fatalf("seed %d draws two cases", seed)
		}
	}
}
