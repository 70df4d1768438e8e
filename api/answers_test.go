package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
)

// doubling is a policy whose text is short, whose value is small in memory, and whose JSON has 2^40 texts.
func doubling(pkg, name string) string {
	text := "package " + pkg + "\nx0 := [\"aaaaaaaa\"]\n"
	for i := range 40 {
		text += fmt.Sprintf("x%d := array.concat([x%d], [x%d])\n", i+1, i, i) // of a type that does not double
	}
	return text + name + " := x40\n"
}

func TestALongAnswerIsRefusedWhileItIsMade(t *testing.T) {
	s := start(t, map[string]string{
		"p.rego": doubling("p", "long"), "main.rego": doubling("system", "main"), "fw.rego": doubling("defenseclaw.firewall", "action"),
		"z.rego":    "package authzen\nallow := {\"decision\": true, \"context\": {\"x\": data.p.long}}",
		"echo.rego": "package echo\nx := input.x\nnamed := {y: data.p.long | some y in [1, 2]}\nmany := numbers.range(1, 20000)\ncount_all if { some i in numbers.range(1, 1000000); i < 0 }\n",
	}, func(_ *api.Config, e *engine.Config) { e.MaxAnswerBytes, e.DecisionTimeout = 1<<20, time.Minute })
	const evaluation = `{"subject":{"type":"u","id":"x"},"action":{"name":"n"},"resource":{"type":"r","id":"1"}}`
	deep := `{"input":{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}`
	rows := `{"query":"x = numbers.range(1, 1000000)[_]"}`
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/data/p/long", `{}`}, {"GET", "/v1/data/p/long", ""}, {"GET", "/v1/data/p", ""}, {"POST", "/v1/data/p/long", `{"input":{}}`},
		{"POST", "/v1/data/p/long?metrics", `{"input":{}}`}, {"POST", "/v1/data/p/long?pretty", `{"input":{}}`}, {"GET", "/v1/data/echo/named", ""},
		{"POST", "/v0/data/p/long", `{}`}, {"POST", "/", `{}`}, {"POST", "/v1/query", `{"query":"x = data.p.long"}`}, {"POST", "/v1/query", rows},
		{"POST", "/v1/compile", `{"query":"data.echo.many[_] == input.x","unknowns":["input.x"]}`},
		{"POST", "/v1/data/echo/x?pretty", deep}, {"POST", "/v1/data/echo/count_all?explain=full", "{}"},
		{"POST", "/v1/batch/data/p/long", `{"inputs":{"a":{}}}`},
		{"POST", "/policy/evaluate/firewall", `{"target_type":"t","destination":"x","port":1,"protocol":"tcp"}`}, {"POST", "/access/v1/evaluation", evaluation},
	} {
		s.expect(c.method, c.path, c.body, 500, "the answer is too long: ")
	}
	s.expect("POST", "/v1/data/echo/x", deep, 200, "[[[[")
	s.expect("POST", "/access/v1/evaluations", `{"evaluations":[`+evaluation+`]}`, 200, "the answer is too long: the limit is 1048576 bytes")
}

// TestABatchIsBoundedAsAWhole: its answer, its inputs with the common one in each, and its time.
func TestABatchIsBoundedAsAWhole(t *testing.T) {
	s := start(t, map[string]string{
		"p.rego": "package p\nx := input.x\nn := count(input.common)\nslow if { some i in numbers.range(1, 1000000); some j in numbers.range(1, 1000000); i + j < 0 }\n",
		"z.rego": "package authzen\nallow := {\"decision\": true, \"context\": {\"x\": input.context.x}}",
	}, func(_ *api.Config, e *engine.Config) { e.MaxAnswerBytes, e.DecisionTimeout = 100_000, 5*time.Second })
	var inputs []string
	for i := range 20 {
		inputs = append(inputs, fmt.Sprintf(`"i%02d":{"x":"%s"}`, i, strings.Repeat("x", 10_000)))
	}
	const tooLong = "the answer is too long: the limit is 100000 bytes"
	_, answer, _ := s.request("POST", "/v1/batch/data/p/x", `{"inputs":{`+strings.Join(inputs, ",")+`}}`)
	if got, refused := strings.Count(answer, `"http_status_code":"200"`), strings.Count(answer, tooLong); got != 9 || refused != 11 {
		t.Errorf("a batch with 20 answers of 10 kB has %d, and %d are too long; the limit is 100 kB", got, refused)
	}
	s.expect("POST", "/v1/batch/data/p/x?pretty", `{"inputs":{"a":{"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}}}`, 500, tooLong)
	var evaluations []string
	for range 20 {
		evaluations = append(evaluations, `{"context":{"x":"`+strings.Repeat("x", 10_000)+`"}}`)
	}
	_, answer, _ = s.request("POST", "/access/v1/evaluations", `{"subject":{"type":"u","id":"x"},"action":{"name":"n"},"resource":{"type":"r","id":"1"},"evaluations":[`+strings.Join(evaluations, ",")+`]}`)
	if got, refused := strings.Count(answer, `"decision":true`), strings.Count(answer, tooLong); got != 9 || refused != 11 {
		t.Errorf("a batch with 20 evaluations of 10 kB has %d, and %d are too long; the limit is 100 kB", got, refused)
	}
	// The common input counts in each input: 256 MiB is reached after some 500.
	inputs = nil
	for i := range 600 {
		inputs = append(inputs, fmt.Sprintf(`"i%03d":{}`, i))
	}
	_, answer, _ = s.request("POST", "/v1/batch/data/p/n", `{"common_input":{"common":"`+strings.Repeat("x", 500_000)+`"},"inputs":{`+strings.Join(inputs, ",")+`}}`)
	if got, refused := strings.Count(answer, `"result":500000`), strings.Count(answer, "have more than 268435456 bytes"); got != 536 || refused != 64 {
		t.Errorf("of 600 inputs with 500 kB, %d were decided and %d are too many", got, refused)
	}
}

// TestABatchEndsAtItsDeadline whatever each of its items would take, and begins no more of them afterwards.
func TestABatchEndsAtItsDeadline(t *testing.T) {
	s := start(t, map[string]string{
		"p.rego": "package p\nslow if { some i in numbers.range(1, 1000000); some j in numbers.range(1, 1000000); i + j < 0 }\n",
		"z.rego": "package authzen\nallow if data.p.slow",
	}, func(_ *api.Config, e *engine.Config) { e.DecisionTimeout = 20 * time.Millisecond })
	inputs, evaluations := make([]string, 20_000), make([]string, 20_000)
	for i := range inputs {
		inputs[i], evaluations[i] = fmt.Sprintf(`"%d":{}`, i), `{}`
	}
	for path, body := range map[string]string{
		"/v1/batch/data/p/slow":  `{"inputs":{` + strings.Join(inputs, ",") + `}}`,
		"/access/v1/evaluations": `{"subject":{"type":"u","id":"x"},"action":{"name":"n"},"resource":{"type":"r","id":"1"},"evaluations":[` + strings.Join(evaluations, ",") + `]}`,
	} {
		_, answer, _ := s.request("POST", path, body)
		if n := strings.Count(answer, "the decision took too long"); n != len(inputs) {
			t.Errorf("%s: %d of %d items took too long: %.300s", path, n, len(inputs), answer)
		}
		if began := strings.Count(answer, "evaluate data"); began == 0 || began > 100 {
			t.Errorf("%s: %d items began within ten times the deadline of one", path, began)
		}
	}
}
