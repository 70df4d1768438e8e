package replay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/corpus"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"
)

// covered is a policy whose lines say what becomes of them: reached, missed, or no value, which is reached as well.
const covered = `package p

default allow := false # missed

allow if { # reached
	input.role == "admin" # reached
}

allow if { # no value
	input.role == "never asked" # reached
	input.size < 3 # missed
}

allow if input.role == "editor" # no value

deny contains "one" if { # missed
	input.x # missed
}

level := "high" if { # no value
	input.size > 100 # reached
} else := "low" if { # reached
	input.size > 1 # reached
} else := "none" # missed

loop if { # no value
	some x in input.list # reached
	double(x) > 3 # reached
	x > 100 # reached
	every y in input.list { # missed
		y > 0 # missed
	}
}

double(x) := x * 2 # reached

triple(x) := x * 3 # missed

names := [n | # reached
	some n in input.list # reached
	n > 50 # reached
	n != 70 # missed
]

many if { # reached
	not input.off # reached
	{input.role, input.size} & {"admin"} # reached
}

asked := x if { # reached
	x := { # reached
		"list": names, # reached
		"level": level, # reached
		"loop": helped, # reached
	}
}

helped if loop # no value
helped if not loop # reached
`

// becomes are the lines of a text that end in a comment that says so.
func becomes(text, what string) (rows []int) {
	for i, line := range strings.Split(text, "\n") {
		if strings.HasSuffix(line, "# "+what) {
			rows = append(rows, i+1)
		}
	}
	return rows
}

func cover(t testing.TB, g *engine.Generation, recs []records.Record, o replay.Options) *review.Coverage {
	t.Helper()
	c, err := replay.Cover(t.Context(), g, recs, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A condition that an index excludes, and one behind a clause that gave the value, is reached where it is false.
func TestCoverageTellsWhatWasReached(t *testing.T) {
	g := load(t, files{"p.rego": covered, "q.rego": "package q\nx := 1\n", "data.json": "{}"}, nil)
	input := `{"role": "admin", "size": 30, "list": [1, 2]}`
	var recs []records.Record
	for _, path := range []string{"p/allow", "p/level", "p/asked", "p/many"} {
		recs = append(recs, decide(t, g, path, input)...)
	}
	c := cover(t, g, recs, replay.Options{})
	if c.Records != 4 || c.Evaluated != 4 || len(c.LeftOut) > 0 || len(c.Files) != 2 {
		t.Fatalf("%+v", c)
	}
	noValue := becomes(covered, "no value")
	reached := append(becomes(covered, "reached"), noValue...)
	slices.Sort(reached)
	for what, rows := range map[string][2][]int{
		"reached": {c.Files[0].Reached, reached}, "missed": {c.Files[0].Missed, becomes(covered, "missed")}, "no value": {c.Files[0].NoValue, noValue},
		"missed of q": {c.Files[1].Missed, {2}}, "reached of q": {c.Files[1].Reached, nil},
	} {
		if !slices.Equal(rows[0], rows[1]) {
			t.Errorf("%s: lines %v; want %v", what, rows[0], rows[1])
		}
	}
}

// What indexes leave out makes no difference: the lines are those that an evaluation of every clause meets.
func TestNoDecisionReachesALineThatCoverageMisses(t *testing.T) {
	const tenants = 6
	random := rand.New(rand.NewPCG(3, 4))
	g := load(t, corpus.Tenants(tenants), nil)
	var recs []records.Record
	for range 100 {
		recs = append(recs, decide(t, g, fmt.Sprintf("tenants/t%d/allow", random.IntN(3)), request(random, 1))...)
	}
	all, one := cover(t, g, recs, replay.Options{}), cover(t, g, recs[:1], replay.Options{})
	for i, f := range all.Files {
		for _, row := range one.Files[i].Reached {
			if !slices.Contains(f.Reached, row) {
				t.Errorf("%s:%d is reached by one record, and not by all", f.Path, row)
			}
		}
		if len(f.Reached)+len(f.Missed) != len(one.Files[i].Reached)+len(one.Files[i].Missed) {
			t.Errorf("%s has other lines", f.Path)
		}
		if strings.Contains(f.Path, "t5") && len(f.Reached) > 0 {
			t.Errorf("%s: nobody asked for it, and lines %v are reached", f.Path, f.Reached)
		}
	}
}

func TestWhatDoesNotCountIsSaid(t *testing.T) {
	g := load(t, files{"p.rego": "package p\nx if {\n\tinput.a == 1\n\tinput.b == 2\n}\nslow := count([1 | numbers.range(1, 30000)[_] == numbers.range(1, 30000)[_]])\n"}, nil)
	good := decide(t, g, "p/x", `{"a": 1, "b": 2}`)[0]
	masked, same := good, decide(t, g, "p/x", `{"a": 1}`)[0]
	masked.Masked, masked.Input = true, json.RawMessage(`{"a": 1}`) // b is gone, which decided
	same.Masked = true
	gone, none, slow := good, good, good
	gone.Path, none.Path, slow.Path = "q/x", "%zz", "p/slow"
	for what, tt := range map[string]struct {
		rec    records.Record
		reason string
		lines  []int
	}{
		"good": {good, "", []int{2, 3, 4}}, "what was masked decided": {masked, replay.Masked, nil}, "masked, and answered alike": {same, "", []int{2, 3, 4}},
		"a path that is gone": {gone, replay.Gone, nil}, "a path that is none": {none, replay.Gone, nil}, "too slow": {slow, replay.Timeout, []int{6}},
	} {
		c := cover(t, g, []records.Record{tt.rec}, replay.Options{Timeout: 50 * time.Millisecond})
		if tt.reason == "" != (c.Evaluated == 1) || tt.reason != "" && c.LeftOut[tt.reason] != 1 || !slices.Equal(c.Files[0].Reached, tt.lines) {
			t.Errorf("%s: %+v", what, c)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := replay.Cover(ended, g, []records.Record{good, same}, replay.Options{}); err != nil || c.LeftOut[replay.OverTime] != 2 || c.Evaluated != 0 {
		t.Errorf("without time: %+v, %v", c, err)
	}
	if _, err := replay.Cover(t.Context(), nil, nil, replay.Options{}); err == nil {
		t.Error("without a policy, there is coverage")
	}
}
