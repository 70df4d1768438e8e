package gate_test

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
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/gate"
	"defenseclaw/engine/source"
)

// side is a policy with its tests.
type side struct {
	g     *engine.Generation
	tests *engine.Tests
}

func load(t testing.TB, files map[string]string, before side) side {
	t.Helper()
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := engine.Load(t.Context(), m, before.g)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := engine.ReadTests(t.Context(), m, g, source.Limits{}, before.tests)
	if err != nil {
		t.Fatal(err)
	}
	return side{g, tests}
}

func run(t testing.TB, base, candidate side, o gate.Options) *review.TestRun {
	t.Helper()
	o.Tests, o.Before = candidate.tests, base.tests
	r, err := gate.Run(t.Context(), base.g, candidate.g, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func names(r *review.TestRun) []string {
	all := []string{}
	for _, f := range r.Failed {
		all = append(all, f.Name)
	}
	return all
}

// pack has a library, two packages that use it, one of them through data, and one that stands alone.
func pack() map[string]string {
	return map[string]string{
		"lib.rego":        "package lib\n\nadmin if input.role == \"admin\"\n",
		"lib_test.rego":   "package lib_test\n\ntest_admin if data.lib.admin with input.role as \"admin\"\n",
		"app.rego":        "package app\n\nallow if data.lib.admin\n\nallow if input.n < data.limit\n",
		"app_test.rego":   "package app_test\n\ntest_allow if data.app.allow with input as {\"n\": 1}\n\ntest_deny if not data.app.allow with input as {\"n\": 50}\n",
		"alone.rego":      "package alone\n\nyes := true\n",
		"alone_test.rego": "package alone\n\ntest_yes if yes\n",
		"data.json":       `{"limit": 10}`,
	}
}

func with(files map[string]string, name, text string) map[string]string {
	next := map[string]string{}
	for n, c := range files {
		next[n] = c
	}
	if next[name] = text; text == "" {
		delete(next, name)
	}
	return next
}

func TestTheTestsRunThatAnEditCanAffect(t *testing.T) {
	base := load(t, pack(), side{})
	for name, c := range map[string]struct {
		file, text string
		ran        int
		failed     []string
	}{
		"leaf":           {"alone.rego", "package alone\n\nyes := 1 == 1\n", 1, nil},
		"library":        {"lib.rego", "package lib\n\nadmin if input.role in {\"admin\"}\n", 3, nil},
		"broken library": {"lib.rego", "package lib\n\nadmin := true\n", 3, []string{"data.app_test.test_deny"}},
		"data":           {"data.json", `{"limit": 100}`, 2, []string{"data.app_test.test_deny"}},
		"data unread":    {"data.json", `{"limit": 10, "other": 1}`, 0, nil},
		"test alone":     {"alone_test.rego", "package alone\n\ntest_yes if not yes\n", 1, []string{"data.alone.test_yes"}},
		"test gone":      {"alone_test.rego", "", 0, nil},
		"same":           {"alone.rego", "package alone\n\nyes := true\n", 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, base, load(t, with(pack(), c.file, c.text), base), gate.Options{})
			if r.Ran != c.ran || r.NotRun != 0 || !slices.Equal(names(r), slices.Concat([]string{}, c.failed)) {
				t.Errorf("%+v; want %d run, and %v failed", r, c.ran, c.failed)
			}
			// The same without what the candidate shares with the base.
			apart := run(t, base, load(t, with(pack(), c.file, c.text), side{}), gate.Options{})
			if !slices.Equal(names(apart), names(r)) || apart.Ran < r.Ran {
				t.Errorf("two loads that share nothing give %+v; want %+v", apart, r)
			}
		})
	}
	if r := run(t, side{}, base, gate.Options{}); r.Ran != 4 || len(r.Failed) != 0 {
		t.Errorf("of the first policy %+v; want all tests", r)
	}
}

func TestAFailureSaysWhatWasFalseAndWhere(t *testing.T) {
	base := load(t, pack(), side{})
	r := run(t, base, load(t, with(pack(), "data.json", `{"limit": 1}`), base), gate.Options{})
	if len(r.Failed) != 1 {
		t.Fatalf("%+v", r)
	}
	f := r.Failed[0]
	if f.File != "app_test.rego" || f.Row != 3 || !strings.Contains(f.Why, "app_test.rego:3:") || !strings.Contains(f.Why, "data.app.allow with input as") {
		t.Errorf("%+v", f)
	}
}

func TestTestsThatCannotRunAreFailuresAndTheOthersRun(t *testing.T) {
	base := load(t, pack(), side{})
	for name, c := range map[string]struct{ text, file, why string }{
		"no Rego":   {"package app_test\n\ntest_allow if {", "app_test.rego", "rego_parse_error"},
		"unknown":   {"package app_test\n\ntest_allow if data.app.gone(1)\n", "app_test.rego", "rego_type_error: undefined function data.app.gone"},
		"unsafe":    {"package app_test\n\ntest_allow if http.send({}).body\n", "app_test.rego", "unsafe built-in function calls in expression: http.send"},
		"recursive": {"package app_test\n\ntest_allow if test_allow\n", "app_test.rego", "rule data.app_test.test_allow is recursive"},
	} {
		t.Run(name, func(t *testing.T) {
			files := with(with(pack(), "app_test.rego", c.text), "lib.rego", "package lib\n\nadmin if input.role == concat(\"\", [\"admin\"])\n")
			r := run(t, base, load(t, files, base), gate.Options{})
			if r.Ran != 1 || len(r.Failed) != 1 || r.Failed[0].File != c.file || r.Failed[0].Row != 3 || !strings.Contains(r.Failed[0].Why, c.why) {
				t.Errorf("%+v; want the test of the library to run, and why %s", r, c.why)
			}
		})
	}
	t.Run("function gone", func(t *testing.T) {
		files := with(pack(), "lib.rego", "package lib\n\nadmin if input.role == \"admin\"\n\nf(x) := x\n")
		files = with(files, "lib_test.rego", "package lib_test\n\ntest_f if data.lib.f(1) == 1\n")
		base := load(t, files, side{})
		r := run(t, base, load(t, with(files, "lib.rego", "package lib\n\nadmin if input.role == \"admin\"\n"), base), gate.Options{})
		if r.Ran != 2 || len(r.Failed) != 1 || !strings.Contains(r.Failed[0].Why, "undefined function data.lib.f") {
			t.Errorf("%+v", r)
		}
	})
}

func TestCasesSkippedTestsAndNamesTwice(t *testing.T) {
	files := with(pack(), "alone_test.rego", `package alone

test_cases[name] if {
	some name, want in {"one": 1, "two": 3}
	count(name) == want
}

test_yes if yes

test_yes if not yes

todo_test_later if false
`)
	base := load(t, pack(), side{})
	r := run(t, base, load(t, files, base), gate.Options{})
	if r.Ran != 3 || r.NotRun != 0 || len(r.Failed) != 2 || !strings.Contains(r.Failed[0].Why, "case one") {
		t.Errorf("%+v; want the cases and one of two of one name to fail", r)
	}
}

func TestOverBudgetSaysHowManyDidNotRun(t *testing.T) {
	files := pack()
	slow := "package alone\n\n"
	for i := range 5 {
		slow += fmt.Sprintf("test_%d if {\n\tsome a in numbers.range(1, 100000)\n\tsome b in numbers.range(1, 100000)\n\ta + b < 0\n}\n\n", i)
	}
	base := load(t, files, side{})
	r := run(t, base, load(t, with(files, "alone_test.rego", slow), base), gate.Options{Budget: 50 * time.Millisecond})
	if r.Ran != 0 || r.NotRun != 5 || len(r.Failed) != 0 {
		t.Errorf("%+v; what did not end in time is no failure", r)
	}
}

func TestTheTestsNearestToTheChangeRunFirstAndThoseThatFailedBeforeThem(t *testing.T) {
	files := with(pack(), "lib.rego", "package lib\n\nadmin if false\n")
	base := load(t, pack(), side{})
	candidate := load(t, files, base)
	suite := candidate.g.SuiteOf(candidate.tests, base.g, base.tests)
	if got := fmt.Sprint(suite.Only); got != "[data.lib_test data.app_test]" {
		t.Errorf("%v; want the nearest first", got)
	}
	if _, has := suite.Modules["alone.rego"]; has {
		t.Error("a module is compiled that no test needs")
	}
	// With a budget that is spent by the first look, what runs is what comes first.
	only := with(files, "app_test.rego", "package app_test\n\ntest_deny if not data.app.allow with input as {\"n\": 50}\n\ntest_loop if {\n\tsome a in numbers.range(1, 100000)\n\tsome b in numbers.range(1, 100000)\n\ta + b < 0\n}\n")
	candidate = load(t, only, base)
	r := run(t, base, candidate, gate.Options{Budget: 2 * time.Second, First: []string{"data.app_test.test_deny"}})
	if r.Ran < 1 || r.NotRun < 1 {
		t.Errorf("%+v", r)
	}
}

func TestACrashIsTheFailureOfItsTest(t *testing.T) {
	base := load(t, pack(), side{})
	files := with(pack(), "alone_test.rego", "package alone\n\ntest_yes if yes\n\ntest_crash if test.crash(1)\n")
	r := run(t, base, load(t, files, base), gate.Options{Contain: true})
	if r.Ran != 2 || len(r.Failed) != 1 || r.Failed[0].Name != "data.alone.test_crash" || r.Failed[0].Row != 5 || !strings.Contains(r.Failed[0].Why, "a fault") {
		t.Errorf("%+v", r)
	}
}

func TestWhoEndsTheContextGetsNoResult(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	only := load(t, pack(), side{})
	if r, err := gate.Run(ctx, nil, only.g, gate.Options{Tests: only.tests}); !errors.Is(err, context.Canceled) || r != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// Who knows which tests failed before hears which of them passed.
func TestWhatFailedBeforeAndPassesIsSaid(t *testing.T) {
	base := load(t, with(pack(), "app_test.rego", "package app_test\n\ntest_allow if nothing.is.here\n"), side{})
	first := []string{"data.app_test", "data.app_test.test_allow", "data.app_test.test_deny", "data.lib_test.test_admin"}
	candidate := load(t, with(pack(), "app_test.rego", pack()["app_test.rego"]+"\ntest_new if false\n"), base)
	r := run(t, base, candidate, gate.Options{First: append(first, "data.app_test.test_new")})
	if want := first[:3]; !slices.Equal(r.Mended, want) || len(r.Failed) != 1 {
		t.Errorf("%q are mended, want %q; %q fail", r.Mended, want, names(r))
	}
}
