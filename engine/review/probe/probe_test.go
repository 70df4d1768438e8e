package probe_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine/review"
	"defenseclaw/engine/review/probe"
)

func run(t *testing.T, before, after string, seeds []probe.Seed, opts probe.Options) *review.Probe {
	t.Helper()
	from := load(t, fstest.MapFS{"p.rego": {Data: []byte(before)}}, nil)
	to := load(t, fstest.MapFS{"p.rego": {Data: []byte(after)}}, from)
	if opts.MaxInput == 0 {
		opts.MaxInput = 500
	}
	opts.CPU, opts.At = time.Minute, noon
	r, err := probe.Run(t.Context(), from, to, seeds, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestADifferenceIsShownByTheSmallestInput(t *testing.T) {
	r := run(t, "package p\n\nallow if { input.role == \"admin\"; input.n < 10 }\n", "package p\n\nallow if { input.role == \"admin\"; input.n < 12 }\n",
		[]probe.Seed{{Path: "p/allow", Input: []byte(`{"role": "guest", "n": 3, "more": [1, 2]}`)}}, probe.Options{MaxFound: 1})
	if len(r.Found) != 1 {
		t.Fatal(probe.Text(r))
	}
	f := r.Found[0]
	if f.Path != "p/allow" || f.Kind != review.DenyToAllow || f.Before != nil || string(f.After) != "true" {
		t.Errorf("%+v", f)
	}
	if got := string(f.Input); got != `{"n":10,"role":"admin"}` && got != `{"n":11,"role":"admin"}` {
		t.Error(got)
	}
	if r.Conditions != 2 || r.Both == 0 { // the clause is at one place in both
		t.Errorf("%+v", r)
	}
}

func TestASearchDoesTheSameWithTheSameNumber(t *testing.T) {
	p := packs(t)[0]
	g := p.after(t, p.edits[3])
	var before *review.Probe
	for range 2 {
		r, err := probe.Run(t.Context(), p.base, g, p.seeds, probe.Options{CPU: time.Minute, MaxInput: 300, Random: 7, At: noon})
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !reflect.DeepEqual(before, r) {
			t.Errorf("%+v\n%+v", before, r)
		}
		before = r
	}
}

func TestSameIsSaidOnlyWhereNothingCanDiffer(t *testing.T) {
	const rule = "allow if {\n\tsome r in input.roles\n\tr == \"a\"\n}\n"
	for _, tc := range []struct {
		name, after string
		same        bool
	}{
		{"a comment, a format and a name", "package p\n\n# Who.\nallow if { some role in input.roles; role == \"a\" }\n", true},
		{"the same twice", "package p\n\n" + rule + rule, false},
		{"conditions in another order", "package p\n\nallow if {\n\t\"a\" == input.roles[_]\n}\n", false},
		{"a package without rules", "package q\n", false},
	} {
		if r := run(t, "package p\n\n"+rule, tc.after, nil, probe.Options{MaxInput: 50}); r.Same != tc.same || r.Same && r.Inputs > 0 {
			t.Errorf("%s: %+v", tc.name, r)
		}
	}
}

// TestChanceIsNoDifference: both sides answer differently each time, and the edit has no part in it.
func TestChanceIsNoDifference(t *testing.T) {
	r := run(t, "package p\n\nx := rand.intn(input.a, 1000000)\n\ny := 1\n", "package p\n\nx := rand.intn(input.a, 1000000) if true\n\ny := 1 if input.z != 0.25\n",
		[]probe.Seed{{Path: "p/x", Input: []byte(`{"a": "k"}`)}}, probe.Options{MaxInput: 30})
	for _, f := range r.Found {
		if f.Path == "p/x" {
			t.Errorf("%+v", f)
		}
	}
}

func TestAnErrorOfOneSideComesAfterWhatIsSure(t *testing.T) {
	r := run(t, "package p\n\nx := 1 if input.a\n\nx := 1 if input.b\n", "package p\n\nx := 1 if input.a\n\nx := 2 if input.b\n", nil, probe.Options{})
	if len(r.Found) != 2 || r.Found[0].Kind != review.OtherFlip || r.Found[1].Kind != review.ToError || r.Found[1].AfterError == "" {
		t.Errorf("%+v", r.Found)
	}
}

func TestThePolicySaysWhatAnAnswerMeans(t *testing.T) {
	const outcome = "package system.reload\n\noutcome := \"allow\" if input.result == \"low\"\n\nelse := \"deny\"\n"
	files := func(limit string) fstest.MapFS {
		rule := "package p\n\nlevel := \"high\" if input.n > " + limit + "\n\nelse := \"low\"\n"
		return fstest.MapFS{"p.rego": {Data: []byte(rule)}, "outcome.rego": {Data: []byte(outcome)}}
	}
	from := load(t, files("5"), nil)
	r, err := probe.Run(t.Context(), from, load(t, files("7"), from), nil, probe.Options{CPU: time.Minute, MaxInput: 300, At: noon})
	if err != nil || len(r.Found) != 1 || r.Found[0].Kind != review.DenyToAllow {
		t.Errorf("%+v %v", r, err)
	}
}

func TestASeedThatIsNoJSONIsNamed(t *testing.T) {
	from := load(t, fstest.MapFS{"p.rego": {Data: []byte("package p\n\nx := 1\n")}}, nil)
	to := load(t, fstest.MapFS{"p.rego": {Data: []byte("package p\n\nx := 2\n")}}, from)
	_, err := probe.Run(t.Context(), from, to, []probe.Seed{{Path: "p/x", Input: []byte("{")}}, probe.Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "seed 1, of p/x: the input is no JSON: ") {
		t.Error(err)
	}
}

func TestASearchEndsWithItsContext(t *testing.T) {
	p := packs(t)[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := probe.Run(ctx, p.base, p.after(t, p.edits[0]), p.seeds, probe.Options{})
	if !errors.Is(err, context.Canceled) || r == nil || len(r.Found) > 0 {
		t.Error(r, err)
	}
}

func TestWhatWasSearchedIsSaid(t *testing.T) {
	for _, tc := range []struct {
		probe review.Probe
		want  string
	}{
		{review.Probe{Same: true}, "proved same: the rules and the data are what they were"},
		{
			review.Probe{Inputs: 9, Conditions: 4, Both: 3, NeverTrue: []string{"a.rego:3"}},
			"no difference in 9 inputs; of 4 changed conditions 3 were seen both true and false; never true: a.rego:3",
		},
	} {
		if got := probe.Text(&tc.probe); got != tc.want {
			t.Error(got)
		}
	}
}

// BenchmarkInput is what one input costs: an evaluation of both sides, followed.
func BenchmarkInput(b *testing.B) {
	for _, p := range packs(b) {
		if p.name != "rbac" && p.name != "default_guardrail" {
			continue
		}
		g := p.after(b, p.edits[0])
		b.Run(p.name, func(b *testing.B) {
			inputs := 0
			for b.Loop() {
				r, err := probe.Run(b.Context(), p.base, g, p.seeds, probe.Options{CPU: time.Minute, MaxInput: 200, MaxFound: 100, At: noon})
				if err != nil {
					b.Fatal(err)
				}
				inputs += r.Inputs
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(inputs), "µs/input")
		})
	}
}
