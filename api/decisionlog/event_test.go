package decisionlog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/api/decisionlog"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/plugins/logs"
)

func TestAnEventHasOnlyFieldsOfOPAs(t *testing.T) {
	theirs := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[logs.EventV1]()) {
		theirs[f.Tag.Get("json")] = f
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[decisionlog.Event]()) {
		tag := f.Tag.Get("json")
		their, ok := theirs[tag]
		if !ok || f.Type.Kind() != their.Type.Kind() {
			t.Errorf("%s, tagged %q, is %s; OPA's is %v", f.Name, tag, f.Type, their.Type)
		}
	}
}

const drops = `package system.log

drop if input.path == "p/boring"
drop if input.result.boring
drop if { input.path == "p/odd"; 1 / input.input.zero == 1 }
drop := "yes" if input.path == "p/text"
`

const decisions = `package p

boring := 1
odd := 2
text := 3
object := input
failing := 1 / input.zero
two := x if some x in [1, 2]
`

func TestAnEventContainsTheDecision(t *testing.T) {
	e := one(t, map[string]string{"p.rego": decisions}, "p/object", `{"a":[1,2.50]}`)
	for field, want := range map[string]string{
		"type": `"openpolicyagent.org/decision_logs"`, "path": `"p/object"`, "input": `{"a":[1,2.5]}`, "result": `{"a":[1,2.5]}`, "decision_id": `"an-id"`,
		"query": "null", "error": "null", "erased": "null", "masked": "null",
	} {
		if got := text(t, e[field]); got != want {
			t.Errorf("%s is %s; %s was expected", field, got, want)
		}
	}
	if revision := fmt.Sprint(e["bundles"]); !strings.Contains(revision, "sha256:") {
		t.Errorf("bundles is %s", revision)
	}
	if fmt.Sprint(e["labels"].(map[string]any)["id"]) == "" || e["timestamp"] == nil {
		t.Errorf("labels or timestamp are missing: %v", e)
	}
}

func TestAnErrorHasOPAsForm(t *testing.T) {
	e := one(t, map[string]string{"p.rego": decisions}, "p/failing", `{"zero":0}`)
	if got := text(t, e["error"]); !strings.Contains(got, `"code":"eval_builtin_error"`) || !strings.Contains(got, "divide by zero") || e["result"] != nil {
		t.Errorf("error %s, result %v", got, e["result"])
	}
	if got := text(t, one(t, map[string]string{"p.rego": decisions}, "p/nothing", "")); strings.Contains(got,
		`"result"`) || strings.Contains(got, `"input"`) || strings.Contains(got, `"error"`) {
		t.Errorf("an undefined decision is %s", got)
	}
}

func TestTheDropPolicyIsAppliedAndCounted(t *testing.T) {
	files := map[string]string{"log.rego": drops, "p.rego": decisions}
	for _, c := range []struct {
		path, input string
		events      int
		reason      string
	}{
		{"p/boring", ``, 0, decisionlog.DroppedPolicy},
		{"p/object", `{"boring":true}`, 0, decisionlog.DroppedPolicy},
		{"p/object", `{"boring":false}`, 1, ""},
		{"p/text", ``, 1, ""},
		{"p/odd", `{"zero":0}`, 0, decisionlog.DroppedDrop},
		{"p/odd", `{"zero":1}`, 0, decisionlog.DroppedPolicy},
		{"p/odd", `{"zero":2}`, 1, ""},
	} {
		events, dropped := all(t, files, c.path, c.input)
		if len(events) != c.events || c.reason != "" && dropped[c.reason] != 1 || c.reason == "" && len(dropped) > 0 {
			t.Errorf("%s %s: %d events, dropped %v", c.path, c.input, len(events), dropped)
		}
	}
}

func TestAFailedMaskPolicyDropsTheEvent(t *testing.T) {
	for name, policy := range map[string]string{
		"a builtin fails":    `mask contains "/input/b" if 1 / input.input.zero == 1`,
		"a conflict":         "mask := x if some x in [[\"/input/b\"], []]",
		"no list":            `mask := "/input/b"`,
		"no slash":           `mask contains "input/b"`,
		"of something else":  `mask contains "/labels/id"`,
		"an op of its own":   `mask contains {"op": "replace", "path": "/input/b"}`,
		"no op":              `mask contains {"path": "/input/b"}`,
		"no path":            `mask contains {"op": "remove"}`,
		"a number":           `mask contains 7`,
		"too long":           `mask contains "/input/b" if count([1 | some i in numbers.range(1, 20000); some j in numbers.range(1, 20000); i * j == input.never]) == 0`,
		"a bad escape":       `mask contains "/input/%zz"`,
		"one of them is bad": `mask := ["/input/b", "b"]`,
	} {
		files := map[string]string{"log.rego": "package system.log\n" + policy, "p.rego": decisions}
		events, dropped := all(t, files, "p/object", `{"zero":0,"b":"hidden"}`)
		if len(events) != 0 || dropped[decisionlog.DroppedMask] != 1 {
			t.Errorf("%s: %v, dropped %v", name, events, dropped)
		}
	}
}

func TestMasksMayBeData(t *testing.T) {
	e := one(t, map[string]string{"system/log/data.json": `{"mask":["/input/b"]}`, "p.rego": decisions}, "p/boring", `{"a":1,"b":2}`)
	if got := text(t, e["input"]); got != `{"a":1}` {
		t.Errorf("input is %s", got)
	}
}

func TestTheGenerationThatDecidedMasks(t *testing.T) {
	var console buffer
	l := run(t, decisionlog.Config{Console: &console})
	for _, name := range []string{"a", "b"} {
		g := load(t, map[string]string{"log.rego": fmt.Sprintf("package system.log\nmask contains \"/input/%s\"", name), "p.rego": decisions})
		decide(t, l.Log, g, "p/boring", `{"a":1,"b":2}`)
	}
	l.stopped()
	if events := console.lines(t); text(t, events[0]["input"]) != `{"b":2}` || text(t, events[1]["input"]) != `{"a":1}` {
		t.Errorf("%v", events)
	}
}

func TestMaskAndDropMayBeElsewhere(t *testing.T) {
	var console buffer
	l := run(t, decisionlog.Config{Console: &console, Mask: engine.Path{"our", "masks"}, Drop: engine.Path{"our", "drop"}})
	g := load(t, map[string]string{"log.rego": "package our\nmasks := [\"/input/a\"]\ndrop if input.path == \"p/odd\"", "p.rego": decisions})
	decide(t, l.Log, g, "p/odd", `{"a":1,"b":2}`)
	decide(t, l.Log, g, "p/boring", `{"a":1,"b":2}`)
	l.stopped()
	if events := console.lines(t); len(events) != 1 || text(t, events[0]["input"]) != `{"b":2}` {
		t.Errorf("%v", events)
	}
}

func TestTextsWithSecretsAreErased(t *testing.T) {
	for value, erased := range map[string]bool{
		`Bearer abc`: true, `bearer abc`: true, `Bearer `: false, `Bearers of news`: false,
		`/path?a=1&access_token=abc`: true, `/path?a=1&Access-Token=abc`: true, `/path?access_token=`: false, `/path?a=token`: false, `/token=abc`: true,
		`user=alice&password=abc`: true, `user=alice&note=password`: false, `max_tokens=5&x=1`: false, `"max_tokens": 5, "x"`: false, `token=5a`: true, `token = abc`: true, `a=b`: false, ``: false, `?`: false,
		`{"user":{"password":"abc"}}`: true, ` [{"token":"abc"}]`: true, `{"user":"{\"token\":\"abc\"}"}`: true,
		`{"token":7}`: false, `{"token":"abc"`: true, `{}`: false, `["Bearer abc"]`: true,
	} {
		e := one(t, map[string]string{"p.rego": decisions}, "p/boring", text(t, map[string]string{"x": value}))
		if got := text(t, e["erased"]) == `["/input/x"]`; got != erased {
			t.Errorf("%s: erased %v, input %v", value, e["erased"], e["input"])
		}
	}
}

func TestAnEventWaitsWhileDecisionsAreAtTheirLimit(t *testing.T) {
	files := fstest.MapFS{
		"p.rego":   {Data: []byte("package p\nslow if { some i in numbers.range(1, 20000); some j in numbers.range(1, 20000); i * j < 0 }")},
		"log.rego": {Data: []byte("package system.log\nmask contains \"/input/b\"")},
	}
	eng := enginetest.New(t, engine.Config{Source: func() (fs.FS, error) { return files, nil }, DecisionTimeout: 40 * time.Millisecond, MaxDecisions: 1})
	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() { _ = eng.Run(ctx) })
	if _, err := eng.Reload(ctx, engine.Trigger{Kind: engine.TriggerStartup}); err != nil {
		t.Fatal(err)
	}
	g := eng.Current()
	long, end := context.WithTimeout(ctx, 10*time.Minute)
	defer end()
	parts.Go(func() { _, _ = g.Evaluate(long, engine.Path{"p", "slow"}, nil) })
	busy := func() bool {
		_, err := g.Evaluate(ctx, engine.Path{"p", "other"}, nil)
		return errors.Is(err, engine.ErrBusy)
	}
	eventually(t, "the only place is taken", busy)

	var console buffer
	l := run(t, decisionlog.Config{Console: &console})
	l.Begin(ctx, g, decision.Question{ID: "id", Path: engine.Path{"p", "x"}, Input: engine.InputOf(ast.MustParseTerm(`{"a":1,"b":2}`).Value)})(decision.Answer{})
	for range 10 { // meanwhile the log is refused as often
		if !busy() {
			t.Fatal("the place is free")
		}
	}
	end()
	eventually(t, "the event is written", func() bool { return len(console.lines(t)) == 1 })
	l.stopped()
	if got := text(t, console.lines(t)[0]["input"]); got != `{"a":1}` {
		t.Errorf("input is %s", got)
	}
}

func TestAMaskFindsVerbatimAndEncodedKeys(t *testing.T) {
	for path, want := range map[string]string{
		"/input/a b": `{"a/b":1,"c%20d":2}`, "/input/a%20b": `{"a/b":1,"c%20d":2}`, "/input/a%2Fb": `{"a b":0,"c%20d":2}`, "/input/c%20d": `{"a b":0,"a/b":1}`,
	} {
		e := one(t, map[string]string{"log.rego": fmt.Sprintf("package system.log\nmask := [%q]", path),
			"p.rego": decisions}, "p/boring", `{"a b":0,"a/b":1,"c%20d":2}`)
		if got := text(t, e["input"]); got != want {
			t.Errorf("%s leaves %s; %s was expected", path, got, want)
		}
	}
}

func TestSecretsAreErasedByTheirNames(t *testing.T) {
	files := map[string]string{"log.rego": `package system.log
mask contains {"op": "upsert", "path": "/input/session_token", "value": crypto.sha256(input.input.session_token)}`, "p.rego": decisions + `
token := "s3cret"
`}
	e := one(t, files, "p/object", `{"headers":{"Authorization":"Basic s3cret","x-api-key":["s3cret"],"Accept":"s"},
		"list":[{"name":"auth","value":"bearer s3cret"},"Bearer s3cret",{"Password":"s3cret"}],
		"token":{"kind":"kept"},"secret":true,"session_token":"s3cret","client-secret":"s3cret"}`)
	const input = `{"headers":{"Accept":"s"},"list":[{"name":"auth"},null,{}],"secret":true,"session_token":"1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0","token":{"kind":"kept"}}`
	if got := text(t, e["input"]); got != input {
		t.Errorf("input is\n%s\n%s was expected", got, input)
	}
	if got := text(t, e); strings.Contains(got, "s3cret") {
		t.Errorf("the secret is in %s", got)
	}
	const erased = `["/input/client-secret","/input/headers/Authorization","/input/headers/x-api-key","/input/list/0/value","/input/list/1","/input/list/2/Password",` +
		`"/result/client-secret","/result/headers/Authorization","/result/headers/x-api-key","/result/list/0/value","/result/list/1","/result/list/2/Password","/result/session_token"]`
	if got := text(t, e["erased"]); got != erased {
		t.Errorf("erased is\n%s\n%s was expected", got, erased)
	}
	if e := one(t, files, "p/token", `"Bearer s3cret"`); text(t, e["erased"]) != `["/input","/result"]` || strings.Contains(text(t, e), "s3cret") {
		t.Errorf("a secret as a whole is %v", e)
	}
}
