package regotest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode"
	"unicode/utf8"

	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/regotest"

	"github.com/open-policy-agent/opa/v1/tester"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 27, 12, 0, 0, 5, time.UTC)

const policy = `package app

default allow := false

allow if input.user == "ann"

deny contains "no" if input.user == "bob"

deny contains "late" if time.now_ns() > 1795780800000000000

hours := time.clock(time.now_ns())[0]

echo := input

parts[name] := 1 if some name in ["a b", "c\"d", "if", "7", "x-y"]

nested := {"some": {input.user, 3}, "none": set()}

strict := 1 / input.zero

dice := rand.intn("x", 1000000)

twice := [rand.intn("x", 1000000), rand.intn("y", 1000000)]

ticket := uuid.rfc4122("k")
`

func load(t testing.TB, files fstest.MapFS) *engine.Generation {
	t.Helper()
	g, err := engine.Load(t.Context(), files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g.Alone(5 * time.Second)
}

var files = fstest.MapFS{"app.rego": {Data: []byte(policy)}}

// passes runs a test beside the policy by OPA's tester, and reports whether there is one and it passes.
func passes(t *testing.T, beside fstest.MapFS, text string) bool {
	t.Helper()
	with := maps.Clone(beside)
	with["recorded_test.rego"] = &fstest.MapFile{Data: []byte(text)}
	suite, err := engine.LoadSuite(t.Context(), fs.FS(with))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	txn, err := suite.Store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Store.Abort(context.Background(), txn)
	results, err := tester.NewRunner().SetCompiler(suite.NewCompiler()).SetStore(suite.Store).SetModules(suite.Modules).RunTests(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	n, passed := 0, true
	for r := range results {
		n++
		passed = passed && r.Pass()
	}
	return n == 1 && passed
}

func record(path, input, result string) *records.Record {
	r := &records.Record{DecisionID: "0b5e9d3e-1111.1.0123", Path: path, Time: noon, Revision: "sha256:00"}
	if input != "" {
		r.Input = json.RawMessage(input)
	}
	if result != "" {
		r.Result = json.RawMessage(result)
	}
	return r
}

func TestATestOfADecisionPasses(t *testing.T) {
	g := load(t, files)
	hostile := "\u202e\u2066\u0085\x7f\U000e0041\x00\x1f\u200b\U0001f600 \"} with input as {} # \u2028 </script> {{.}} `x` \\u0000"
	quoted, err := json.Marshal(map[string]any{"k\n": hostile, "n": json.Number("12345678901234567890123"), "f": json.Number("1.50")})
	if err != nil {
		t.Fatal(err)
	}
	masked := record("app/allow", `{"user":"eve","password":"**REDACTED**"}`, "false")
	masked.Masked = true
	thrown := record("app/dice", "{}", "77")
	thrown.NDBuiltins = json.RawMessage(`{"rand.intn":{"[\"x\",1000000]":77}}`)
	sent := record("app/ticket", "{}", `"a-b"`)
	sent.NDBuiltins = json.RawMessage(`{"uuid.rfc4122":{"[\"k\"]":"a-b"}}`)
	strange := record("app/allow", `{"user":"ann"}`, "true")
	strange.DecisionID = "a\nb\"} #"
	for _, r := range []*records.Record{
		record("app/allow", `{"user":"ann"}`, "true"), record("app/allow", `{"user":"bob"}`, "false"), record("app/allow", "", "false"),
		record("app/deny", `{"user":"bob"}`, `["late","no"]`), record("app/hours", "", "12"), record("app/strict", `{"zero":0}`, ""),
		record("app/nested", `{"user":"x"}`, `{"some":[3,"x"],"none":[]}`), record("app/echo", string(quoted), string(quoted)), record("app/echo", "", ""), record("app/echo", "null", "null"),
		record("app/parts/a%20b", "{}", "1"), record("app/parts/if", "{}", "1"), record("app/parts/x-y", "{}", "1"), record("app/parts/%3Cscript%3E", "{}", ""),
		masked, thrown, sent, strange,
	} {
		test, err := regotest.Of(t.Context(), g, r)
		if err != nil {
			t.Errorf("%s %s: %v", r.Path, r.Input, err)
			continue
		}
		if !passes(t, files, test.Text) {
			t.Errorf("%s does not pass:\n%s", r.Path, test.Text)
		}
		if strings.ContainsFunc(test.Text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
			t.Errorf("something hidden in %q", test.Text)
		}
		if r.Masked != strings.Contains(test.Text, "masked") || r.Masked != (len(test.Notes) > 0 && strings.Contains(test.Notes[0], "masked")) {
			t.Errorf("%q\n%s", test.Notes, test.Text)
		}
		other := *r
		if other.Result = json.RawMessage(`"otherwise"`); string(r.Result) != string(other.Result) {
			if test, err := regotest.Of(t.Context(), g, &other); !regotest.IsNoTest(err) {
				t.Errorf("%s, another result: %v\n%s", r.Path, err, test.Text)
			}
		}
	}
}

// The test is one of the behaviour: it fails where the policy is another.
func TestATestFailsWithAnotherPolicy(t *testing.T) {
	test, err := regotest.Of(t.Context(), load(t, files), record("app/allow", `{"user":"bob"}`, "false"))
	if err != nil {
		t.Fatal(err)
	}
	changed := fstest.MapFS{"app.rego": {Data: []byte(strings.Replace(policy, `"ann"`, `"bob"`, 1))}}
	if passes(t, changed, test.Text) {
		t.Errorf("it passes:\n%s", test.Text)
	}
}

func TestThereIsNoTestOfWhatCannotBeMadeAgain(t *testing.T) {
	g := load(t, files)
	failed := record("app/strict", `{"zero":0}`, "")
	failed.Error, failed.Strict = "eval_builtin_error: divide by zero", true
	masked := record("app/allow", `{"user":"**REDACTED**"}`, "true")
	masked.Masked = true
	twice := record("app/twice", "{}", "[1,2]")
	twice.NDBuiltins = json.RawMessage(`{"rand.intn":{"[\"x\",1000000]":1,"[\"y\",1000000]":2}}`)
	for why, r := range map[string]*records.Record{
		"its answer is an error": failed, "is masked, and what it was decides": masked, "rand.intn that differ from call to call": twice,
		"by another policy": record("app/allow", `{"user":"ann"}`, "false"),
	} {
		test, err := regotest.Of(t.Context(), g, r)
		if no := new(regotest.NoTestError); !errors.As(err, &no) || !strings.Contains(no.Why, why) {
			t.Errorf("%v, want %q\n%s", err, why, test.Text)
		}
	}
}

// FuzzText writes any text in an input and as a result.
func FuzzText(f *testing.F) {
	g := load(f, files)
	f.Add(`"plain"`)
	f.Add("{ \"a\":\n1 }\n")
	f.Add("{\"a\\u0000\":[1e2,\"\\ud83d\\ude00\",true,null]}")
	f.Fuzz(func(t *testing.T, text string) {
		if value, err := engine.ParseJSON([]byte(text)); err != nil || !utf8.ValidString(text) || len(text) > 10_000 || strings.ContainsAny(fmt.Sprint(value), "eE.") {
			return // a number may be written otherwise
		}
		if _, err := regotest.Of(t.Context(), g, record("app/echo", text, text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
