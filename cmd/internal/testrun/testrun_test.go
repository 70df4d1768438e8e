package testrun_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"
)

func suite(t *testing.T, files map[string]string) *engine.Suite {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	s, err := engine.LoadSuite(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var mixed = map[string]string{
	"p.rego": "package p\n\nlimit := 10\n\nallow if input.size < limit\n\nnever if {\n\tinput.a == 1\n\tinput.b == 2\n}\n",
	"p_test.rego": `package p_test

test_small if data.p.allow with input as {"size": 3}

test_large if {
	size := 30
	data.p.limit > size
}

todo_test_later if false

test_raises if 1 / data.p.limit == to_number("x")
`,
}

func TestAFailedTestSaysWhichExpressionFailedWithItsValues(t *testing.T) {
	s := suite(t, mixed)
	outcome, err := testrun.Run(t.Context(), s, testrun.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	failed := outcome.Failed()
	total, todo := testrun.Count(s)
	if len(outcome.Results) != 4 || len(failed) != 2 || outcome.Skipped() != 1 || total != 4 || todo != 1 {
		t.Fatalf("%d results, %d failed, %d skipped of %d", len(outcome.Results), len(failed), outcome.Skipped(), total)
	}
	if err := testrun.Explain(t.Context(), s, failed); err != nil {
		t.Fatal(err)
	}
	why := strings.Join(testrun.Why(failed[0], report.AsIs), "\n")
	for _, want := range []string{"p_test.rego:7", "data.p.limit > size", "30", "10"} {
		if !strings.Contains(why, want) {
			t.Errorf("no %q in the reason:\n%s", want, why)
		}
	}
	if why := strings.Join(testrun.Why(failed[1], report.AsIs), "\n"); !strings.Contains(why, "to_number") {
		t.Errorf("the builtin's error is not the reason: %s", why)
	}
}

func TestResultsAreWrittenInEachFormat(t *testing.T) {
	outcome, err := testrun.Run(t.Context(), suite(t, mixed), testrun.Options{Cover: true, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	var junit, asJSON, lcov bytes.Buffer
	if err := testrun.JUnit(&junit, outcome); err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	if err := xml.Unmarshal(junit.Bytes(), &suites); err != nil || suites.Tests != 4 || suites.Failures != 1 || suites.Errors != 1 || suites.Skipped != 1 {
		t.Errorf("junit: %+v %v\n%s", suites, err, junit.String())
	}
	if err := testrun.JSON(&asJSON, outcome); err != nil {
		t.Fatal(err)
	}
	var list []struct{ Name string }
	if err := json.Unmarshal(asJSON.Bytes(), &list); err != nil || len(list) != 4 || list[0].Name != "test_small" {
		t.Errorf("json: %+v %v", list, err)
	}
	if err := testrun.LCOV(&lcov, outcome.Coverage); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SF:p.rego\n", "DA:5,1\n", "DA:8,0\n", "end_of_record\n"} {
		if !strings.Contains(lcov.String(), want) {
			t.Errorf("no %q in\n%s", want, lcov.String())
		}
	}
	if strings.Contains(lcov.String(), "_test.rego") {
		t.Error("test files are in the coverage")
	}
}

func TestAnErrorOfABuiltinIsUndefinedUnlessStrict(t *testing.T) {
	s := suite(t, map[string]string{"p.rego": "package p\n", "p_test.rego": "package p\n\ntest_allow if not denied\n\ndenied if to_number(\"x\") > 3\n"})
	for strict, failed := range map[bool]int{false: 0, true: 1} {
		outcome, err := testrun.Run(t.Context(), s, testrun.Options{Strict: strict})
		if err != nil || len(outcome.Results) != 1 || len(outcome.Failed()) != failed {
			t.Errorf("strict %v: %v, %v; want %d of 1 to fail", strict, outcome, err, failed)
		}
	}
}
