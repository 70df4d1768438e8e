package testrun_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/tester"
)

// record is what a reader of --format json relies on.
type record struct {
	Name     string
	Location *struct {
		File string
		Row  int
	}
	Error *struct {
		Code, Message string
		Errors        []struct{ Message string }
	}
}

func asJSON(t *testing.T, text []byte) []record {
	t.Helper()
	var list []record
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return list
}

// asJUnit returns the messages of the errors, and their number as the file states it.
func asJUnit(t *testing.T, text []byte) (messages []string, errorCount int) {
	t.Helper()
	var all struct {
		Errors int `xml:"errors,attr"`
		Suites []struct {
			Cases []struct {
				Error *struct {
					Message string `xml:"message,attr"`
				} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &all); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, s := range all.Suites {
		for _, c := range s.Cases {
			if c.Error != nil {
				messages = append(messages, c.Error.Message)
			}
		}
	}
	return messages, all.Errors
}

func refusal(t *testing.T, files map[string]string) error {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	_, err := engine.LoadSuite(t.Context(), fsys)
	if err == nil {
		t.Fatal("the policy was loaded")
	}
	return err
}

func TestARunWithoutResultsKeepsItsFormat(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"two broken files":                  {refusal(t, map[string]string{"a.rego": "package a\nx := := 1\n", "b.rego": "package b\ny := (\n"}), 2},
		"two misspelt builtins in one file": {refusal(t, map[string]string{"a.rego": "package a\nx := coutn([1])\ny := uper(\"a\")\n"}), 2},
		"broken data":                       {refusal(t, map[string]string{"a.rego": "package a\n", "data.json": "{,}"}), 1},
		"no policy":                         {refusal(t, map[string]string{"notes.txt": "x"}), 1},
		"any other failure":                 {errors.New("no such directory"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := (testrun.Output{Stdout: &out, Format: "json"}).WriteError(c.err); err != nil {
				t.Fatal(err)
			}
			list := asJSON(t, out.Bytes())
			if len(list) != c.want {
				t.Errorf("%d results; want %d: %s", len(list), c.want, out.String())
			}
			for _, r := range list {
				if r.Error == nil || r.Error.Code == "" || r.Error.Message == "" {
					t.Errorf("a result without an error: %+v", r)
				}
			}
			out.Reset()
			if err := (testrun.Output{Stdout: &out, Format: "junit"}).WriteError(c.err); err != nil {
				t.Fatal(err)
			}
			if messages, n := asJUnit(t, out.Bytes()); len(messages) != c.want || n != c.want || messages[0] == "" {
				t.Errorf("%q, %d; want %d: %s", messages, n, c.want, out.String())
			}
		})
	}
}

func TestTheCoverageKeepsItsFormatWithoutResults(t *testing.T) {
	err := refusal(t, map[string]string{"a.rego": "package a\nx := := 1\n"})
	for _, format := range []string{"pretty", "json", "junit"} {
		var out, other bytes.Buffer
		o := testrun.Output{Stdout: &out, Stderr: &other, Format: format, Coverage: true, CoverageFormat: "json"}
		if err := o.WriteError(err); err != nil {
			t.Fatal(err)
		}
		var coverage struct{ Files map[string]any }
		if err := json.Unmarshal(out.Bytes(), &coverage); err != nil || coverage.Files == nil {
			t.Errorf("with --format %s: %v in %s", format, err, out.String())
		}
		if !strings.Contains(other.String(), "a.rego") {
			t.Errorf("with --format %s standard error is %s", format, other.String())
		}
	}
}

func TestEachOfSeveralErrorsIsPrinted(t *testing.T) {
	s := suite(t, map[string]string{"p.rego": "package p\n", "p_test.rego": `package p_test

test_two if {
	x := [to_number(t) | some t in ["a", "b"]]
	count(x) == 2
}

test_twice["of one name"] if to_number("c") == to_number("d")

test_again if [to_number(t) | some t in ["e", "f"]] == []

test_again if [to_number(t) | some t in ["g", "h"]] == []
`})
	outcome, err := testrun.Run(t.Context(), s, testrun.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	var pretty, encoded bytes.Buffer
	if err := testrun.Pretty(&pretty, outcome, false, false, false); err != nil {
		t.Fatal(err)
	}
	if err := testrun.JSON(&encoded, outcome); err != nil {
		t.Fatal(err)
	}
	list := asJSON(t, encoded.Bytes())
	for i, want := range [][]string{{"a", "b"}, {"c"}, {"e", "f"}, {"g", "h"}} {
		if list[i].Error == nil {
			t.Errorf("%s has no error", list[i].Name)
			continue
		}
		if n := len(list[i].Error.Errors); len(want) > 1 && n != len(want) {
			t.Errorf("%s has %d errors", list[i].Name, n)
		}
		for _, operand := range want {
			if quoted := `parsing "` + operand + `"`; !strings.Contains(list[i].Error.Message, quoted) || !strings.Contains(pretty.String(), quoted) {
				t.Errorf("%s: no %s in %q and\n%s", list[i].Name, quoted, list[i].Error.Message, pretty.String())
			}
		}
	}
}

func TestAnInterruptedRunKeepsItsFormatAndTheResultsUntilThen(t *testing.T) {
	s := suite(t, map[string]string{"p.rego": "package p\n", "p_test.rego": `package p_test

test_short if true

test_long if {
	every i in numbers.range(1, 100000) {
		every j in numbers.range(1, 100000) { i + j > 0 }
	}
}
`})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	outcome, err := testrun.Run(ctx, s, testrun.Options{Done: func(r *tester.Result) {
		if r.Pass() {
			cancel()
		}
	}})
	if err == nil || outcome == nil {
		t.Fatalf("%v, %v; want results and an error", outcome, err)
	}
	outcome.Add(err)
	var out bytes.Buffer
	if err := testrun.JSON(&out, outcome); err != nil {
		t.Fatal(err)
	}
	list := asJSON(t, out.Bytes())
	if last := list[len(list)-1]; list[0].Name != "test_short" || list[0].Error != nil || last.Error == nil || last.Error.Message == "" {
		t.Errorf("%s", out.String())
	}
	for _, r := range list {
		if r.Error != nil && r.Error.Code == "" {
			t.Errorf("%s has an error that says nothing", r.Name)
		}
	}
}
