package guard_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review/guard"
)

const app = "package app\n\nallow if input.admin\n"

// guarded is a policy with guards; an empty text leaves them out.
func guarded(t testing.TB, rules string, more ...string) *engine.Generation {
	t.Helper()
	files := fstest.MapFS{"app.rego": {Data: []byte(app)}}
	if rules != "" {
		files["guards.rego"] = &fstest.MapFile{Data: []byte("package system.reload\n\n" + rules + "\n")}
	}
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = &fstest.MapFile{Data: []byte(more[i+1])}
	}
	g, err := engine.Load(t.Context(), files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// patient are guards that a busy machine does not interrupt.
func patient(cfg guard.Config) *guard.Guards {
	cfg.Timeout = time.Minute
	return guard.New(cfg)
}

func judge(t testing.TB, g *guard.Guards, base, candidate *engine.Generation, review string) *guard.Verdict {
	t.Helper()
	v, err := g.Judge(t.Context(), base, candidate, []byte(review))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// said is a verdict as lines.
func said(v *guard.Verdict) string {
	var b strings.Builder
	for _, f := range v.Findings {
		fmt.Fprintf(&b, "%s %s:%d %q %s%s of %s\n", f.Level, f.File, f.Row, f.Msg, f.Code, f.Path, f.Of)
	}
	for _, f := range v.Faults {
		fmt.Fprintf(&b, "%s %s %s:%d of %s\n", f.Kind, f.Level, f.File, f.Row, f.Of)
	}
	return b.String()
}

func want(t testing.TB, v *guard.Verdict, lines ...string) {
	t.Helper()
	if text := strings.Join(lines, "\n"); strings.TrimSuffix(said(v), "\n") != text {
		t.Errorf("the guards said\n%s\nwant\n%s", said(v), text)
	}
}

func TestEachFindingNamesTheRuleThatSaysIt(t *testing.T) {
	rules := `deny contains "too much" if input.data_size.after > 9

deny contains msg if {
	some p in input.packages.removed
	msg := sprintf("%s is gone", [p])
}

hold contains {"msg": "look", "code": "c", "path": "p"} if input.first

warn := {"all of it"}`
	g := patient(guard.Config{})
	only := guarded(t, rules)
	review := `{"data_size": {"after": 10}, "packages": {"removed": ["data.a", "data.b"]}, "first": true}`
	want(t, judge(t, g, nil, only, review),
		`deny guards.rego:5 "data.a is gone"  of candidate`,
		`deny guards.rego:5 "data.b is gone"  of candidate`,
		`deny guards.rego:3 "too much"  of candidate`,
		`hold guards.rego:10 "look" cp of candidate`,
		`warn guards.rego:12 "all of it"  of candidate`,
	)
	want(t, judge(t, g, nil, only, `{}`), `warn guards.rego:12 "all of it"  of candidate`)
	if v := judge(t, g, nil, guarded(t, ""), `{}`); v.Asked || said(v) != "" {
		t.Errorf("a policy without guards was asked: %s", said(v))
	}
}

func TestARuleOfThePackageAboveAndDataAreGuardsToo(t *testing.T) {
	above := guarded(t, "", "above.rego", "package system\n\nreload.deny contains \"no\" if true\n")
	want(t, judge(t, patient(guard.Config{}), nil, above, `{}`), `deny above.rego:3 "no"  of candidate`)
	data := guarded(t, "", "data.json", `{"system": {"reload": {"hold": ["frozen until Monday"]}}}`)
	want(t, judge(t, patient(guard.Config{}), nil, data, `{}`), `hold :0 "frozen until Monday"  of candidate`)
}

func TestTheGuardsOfTheBaseJudgeTheChangeThatRemovesThem(t *testing.T) {
	const rule = `deny contains "data shrinks" if input.data_size.after * 2 < input.data_size.before`
	base := guarded(t, rule)
	const review = `{"data_size": {"before": 100, "after": 1}}`
	for name, candidate := range map[string]*engine.Generation{
		"deleted":  guarded(t, ""),
		"emptied":  guarded(t, `deny contains "never" if false`),
		"inverted": guarded(t, `deny contains "data shrinks" if input.data_size.after > 1000`),
	} {
		t.Run(name, func(t *testing.T) {
			want(t, judge(t, patient(guard.Config{}), base, candidate, review), `deny guards.rego:3 "data shrinks"  of base`)
		})
	}
}

func TestTheStricterOfBaseAndCandidateHolds(t *testing.T) {
	base := guarded(t, `warn contains "shrinks" if true`)
	candidate := guarded(t, "deny contains \"shrinks\" if true\n\nwarn contains \"shrinks\" if true")
	want(t, judge(t, patient(guard.Config{}), base, candidate, `{}`),
		`deny guards.rego:3 "shrinks"  of candidate`, `warn guards.rego:3 "shrinks"  of base`)
}

func TestAGuardReadsTheDataOfItsOwnGeneration(t *testing.T) {
	const rule = `deny contains "over the limit" if input.n > data.limit`
	base := guarded(t, rule, "data.json", `{"limit": 5}`)
	candidate := guarded(t, rule, "data.json", `{"limit": 500}`)
	want(t, judge(t, patient(guard.Config{}), base, candidate, `{"n": 10}`), `deny guards.rego:3 "over the limit"  of base`)
}

func TestAGuardThatCannotAnswerIsAFaultWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ rules, want string }{
		"error":    {"deny contains \"x\" if {\n\tinput.n\n\tto_number(input.n) > 1\n}", "failed deny guards.rego:5 of candidate"},
		"conflict": {"deny contains \"x\" if f(1) == 1\n\nf(_) := 1 if input.n\n\nf(_) := 2 if input.n", "failed deny guards.rego:7 of candidate"},
		"loop": {
			"deny contains \"x\" if {\n\tsome a in numbers.range(1, 100000)\n\tsome b in numbers.range(1, 100000)\n\ta + b < 0\n}",
			"too_long deny guards.rego:3 of candidate",
		},
		"stuck builtin": {"deny contains \"x\" if test.stuck(input.n)", "too_long deny guards.rego:3 of candidate"},
		"panic":         {"deny contains \"x\" if test.crash(input.n)", "crashed deny guards.rego:3 of candidate"},
		"boolean":       {"deny if input.n", "malformed deny guards.rego:3 of candidate"},
		"number":        {"deny contains 1 if input.n", "malformed deny guards.rego:3 of candidate"},
		"no msg":        {`deny contains {"message": "typo"} if input.n`, "malformed deny guards.rego:3 of candidate"},
		"empty":         {`deny contains "" if input.n`, "malformed deny guards.rego:3 of candidate"},
		"code":          {`deny contains {"msg": "m", "code": 7} if input.n`, "malformed deny guards.rego:3 of candidate"},
	} {
		t.Run(name, func(t *testing.T) {
			g := patient(guard.Config{})
			if strings.HasPrefix(c.want, "too_long") {
				g = guard.New(guard.Config{Timeout: time.Second})
			}
			v := judge(t, g, nil, guarded(t, c.rules+"\n\nwarn contains \"seen\" if true"), `{"n": "no number"}`)
			var faults []string
			for line := range strings.Lines(said(v)) {
				if !strings.HasPrefix(line, "warn") {
					faults = append(faults, strings.TrimSuffix(line, "\n"))
				}
			}
			if len(faults) == 0 || faults[0] != c.want {
				t.Errorf("%q; want %q", faults, c.want)
			}
			if v.Faults[0].Msg == "" || len(v.Diagnostics(guard.Deny)) == 0 || v.Diagnostics(guard.Deny)[0].Code != guard.CodeFault {
				t.Errorf("%+v", v.Diagnostics(guard.Deny))
			}
			// What took all the time leaves none to the levels after it: they are faults, never silence.
			if seen := len(v.Of(guard.Warn)) == 1; seen == (v.Faults[0].Kind == guard.TooLong) {
				t.Errorf("the sound guard beside it: %v", said(v))
			}
		})
	}
}

func TestAFindingBesideAMalformedOneCounts(t *testing.T) {
	v := judge(t, patient(guard.Config{}), nil, guarded(t, "deny contains 1 if true\n\ndeny contains \"real\" if true"), `{}`)
	want(t, v, `deny guards.rego:5 "real"  of candidate`, `malformed deny guards.rego:3 of candidate`)
}

func TestManyAndLongFindingsAreCut(t *testing.T) {
	rules := "deny contains sprintf(\"%d\", [i]) if some i in numbers.range(1, 250)\n\nhold contains concat(\"\", [\"é\" | some i in numbers.range(1, 5000)]) if true"
	v := judge(t, patient(guard.Config{}), nil, guarded(t, rules), `{}`)
	if len(v.Of(guard.Deny)) != 100 || v.Left != 150 {
		t.Errorf("%d findings and %d left out; want 100 and 150", len(v.Of(guard.Deny)), v.Left)
	}
	v = judge(t, patient(guard.Config{}), nil, guarded(t, `hold contains concat("", [x | some i in numbers.range(1, 5000); x := sprintf("é%d", [i])]) if true`), `{}`)
	if held := v.Of(guard.Hold); len(held) != 1 || len(held[0].Msg) > 5000 || !strings.HasSuffix(held[0].Msg, "…") || strings.Contains(held[0].Msg, "\uFFFD") {
		t.Errorf("%+v", held)
	}
}

func TestWhoEndsTheContextGetsNoVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := patient(guard.Config{}).Judge(ctx, nil, guarded(t, `deny contains "x" if true`), map[string]any{}); !errors.Is(err, context.Canceled) || v != nil {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := patient(guard.Config{}).Judge(t.Context(), nil, guarded(t, ""), []byte("{")); err == nil {
		t.Error("half a text is no review")
	}
}

func TestTheDirectoryJudgesBesideThePolicyAndKeepsItsLastGood(t *testing.T) {
	files := fstest.MapFS{"g.rego": {Data: []byte("package system.reload\n\nhold contains \"ask us\" if true\n")}}
	g := patient(guard.Config{Directory: func() (fs.FS, error) { return files, nil }})
	base, candidate := guarded(t, ""), guarded(t, "", "more.rego", "package more")
	first := judge(t, g, base, candidate, `{}`)
	want(t, first, `hold g.rego:3 "ask us"  of guards_dir`)

	files["g.rego"] = &fstest.MapFile{Data: []byte("package system.reload\n\nhold contains \"ask them\" if true\n")}
	second := judge(t, g, base, candidate, `{}`)
	want(t, second, `hold g.rego:3 "ask them"  of guards_dir`)
	if first.Revision == "" || first.Revision == second.Revision {
		t.Errorf("revisions %q and %q of two sets of guards", first.Revision, second.Revision)
	}

	files["g.rego"] = &fstest.MapFile{Data: []byte("package system.reload\n\nhold contains")}
	third := judge(t, g, base, candidate, `{}`)
	if len(third.Findings) != 2 || third.Findings[0].Msg != "ask them" || third.Findings[1].Code != guard.CodeStale ||
		!strings.Contains(third.Findings[1].Msg, "g.rego:3") || third.Revision != second.Revision {
		t.Errorf("a broken directory: %s", said(third))
	}
	if now, err := g.Revision(t.Context()); err != nil || now != second.Revision {
		t.Errorf("%s, %v", now, err)
	}
}

func TestADirectoryThatNeverLoadedIsAFault(t *testing.T) {
	for name, open := range map[string]func() (fs.FS, error){
		"gone":  func() (fs.FS, error) { return nil, errors.New("no such directory") },
		"empty": func() (fs.FS, error) { return fstest.MapFS{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			g := patient(guard.Config{Directory: open})
			want(t, judge(t, g, nil, guarded(t, ""), `{}`), "unread  :0 of guards_dir")
			if _, err := g.Revision(t.Context()); err == nil {
				t.Error("there is no revision")
			}
		})
	}
}

func TestGuardsThatAreNoSetsAreFound(t *testing.T) {
	for rules, want := range map[string]string{
		"deny if input.x":                                   "guards.rego:3:1: guard_no_set: the guard deny is true or false: a set of texts, or of objects with msg, was expected",
		"default hold := false":                             "guards.rego:3:1: guard_no_set: the guard hold is true or false: a set of texts, or of objects with msg, was expected",
		"warn contains \"x\" if input.x":                    "",
		"deny := {msg | some msg in input.all}":             "",
		"denied if input.x":                                 "",
		"deny contains x if helper(x)\n\nhelper(_) := true": "",
	} {
		got := ""
		if found := guard.Check(guarded(t, strings.ReplaceAll(rules, "if helper(x)", "if { some x in input.all; helper(x) }"))); len(found) > 0 {
			got = found[0].String()
		}
		if got != want {
			t.Errorf("%s gives %q; want %q", rules, got, want)
		}
	}
	above := guarded(t, "", "above.rego", "package system\n\nreload.deny := true\n")
	if found := guard.Check(above); len(found) != 1 || found[0].Line != 3 {
		t.Errorf("%v", found)
	}
}
