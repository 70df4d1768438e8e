package decisionlog_test

import (
	"context"
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"defenseclaw/api/decisionlog"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/logs"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"
)

// asked is a log policy that does what the input says, so that one policy serves every case.
const asked = `package system.log

drop if input.input.drop

mask := input.input.masks`

// sink takes the events of OPA's plugin.
type sink struct{ last atomic.Pointer[logs.EventV1] }

func (s *sink) Start(context.Context) error                 { return nil }
func (s *sink) Stop(context.Context)                        {}
func (s *sink) Reconfigure(context.Context, any)            {}
func (s *sink) Log(_ context.Context, e logs.EventV1) error { s.last.Store(&e); return nil }

// pair is OPA's decision log and ours, on the same policy.
type pair struct {
	theirs *logs.Plugin
	sink   *sink
	ours   *running
	out    *buffer
	g      *engine.Generation
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{sink: &sink{}, out: &buffer{}, g: load(t, map[string]string{"log.rego": asked})}
	p.ours = run(t, decisionlog.Config{Console: p.out})

	store := inmem.New()
	if err := storage.Txn(t.Context(), store, storage.WriteParams, func(txn storage.Transaction) error {
		return store.UpsertPolicy(t.Context(), txn, "log.rego", []byte(asked))
	}); err != nil {
		t.Fatal(err)
	}
	manager, err := plugins.New(nil, "oracle", store, plugins.Logger(logging.NewNoOpLogger()))
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { manager.Stop(context.Background()) })
	manager.Register("sink", p.sink)
	cfg, err := logs.NewConfigBuilder().WithBytes([]byte(`{"plugin":"sink"}`)).WithPlugins([]string{"sink"}).Parse()
	if err != nil {
		t.Fatal(err)
	}
	p.theirs = logs.New(cfg, manager)
	return p
}

// fields are what masks change.
type fields struct {
	Input, Result  any
	Erased, Masked []string
}

// log logs one decision with both, and returns the events; nil for one that is not logged.
func (p *pair) log(t testing.TB, input, result any) (theirs, ours *fields) {
	t.Helper()
	value, err := ast.InterfaceToValue(input)
	if err != nil {
		t.Fatal(err)
	}
	copied := input
	if err := util.RoundTrip(&copied); err != nil {
		t.Fatal(err)
	}
	p.sink.last.Store(nil)
	if err := p.theirs.Log(t.Context(), &server.Info{DecisionID: "id", Path: "p", Input: &copied, InputAST: value, Results: &result}); err != nil {
		t.Fatal(err)
	}
	if e := p.sink.last.Load(); e != nil {
		theirs = &fields{Erased: e.Erased, Masked: e.Masked}
		if e.Input != nil {
			theirs.Input = *e.Input
		}
		if e.Result != nil {
			theirs.Result = *e.Result
		}
	}
	done := func() (n int) {
		h := p.ours.Health()
		for _, counted := range []map[string]uint64{h.Written, h.Dropped} {
			for _, c := range counted {
				n += int(c)
			}
		}
		return n
	}
	before := done()
	p.ours.Begin(t.Context(), p.g, decision.Question{ID: "id", Path: engine.Path{"p"}, Input: engine.InputOf(value)})(decision.Answer{Result: result, Defined: true})
	eventually(t, "the event is written or dropped", func() bool { return done() > before })
	p.out.mu.Lock()
	text := p.out.b.String()
	p.out.b.Reset()
	p.out.mu.Unlock()
	if text != "" {
		ours = &fields{}
		if err := json.Unmarshal([]byte(text), ours); err != nil {
			t.Fatal(err)
		}
	}
	return normal(t, theirs), ours
}

// normal is what JSON makes of it.
func normal(t testing.TB, f *fields) *fields {
	t.Helper()
	if f == nil {
		return nil
	}
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	f = &fields{}
	if err := json.Unmarshal(text, f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestMasksMatchOPAs(t *testing.T) {
	p := newPair(t)
	for _, masks := range []string{
		`[]`, `["/input/a"]`, `["/input/a/b"]`, `["/input/none"]`, `["/input/a/none/c"]`, `["/input"]`, `["/result"]`, `["/result/0"]`, `["/result/0/x"]`,
		`["/input/list/0"]`, `["/input/list/-1"]`, `["/input/list/9"]`, `["/input/list/1/0"]`, `["/input/list/2/k"]`,
		`["/input/list/x"]`, `["/input/n/x"]`, `["/input/s/x"]`,
		`["/input/a", "/input/a"]`, `["/input/a/b", "/input/a"]`, `["/input/list/0", "/input/list/0"]`, `["/input", "/input/a"]`, `["/input/", "/input//"]`,
		`[{"op":"remove","path":"/input/a"}]`, `[{"op":"remove","path":"/input/a","value":1}]`,
		`[{"op":"upsert","path":"/input/a","value":null}]`, `[{"op":"upsert","path":"/input/a"}]`,
		`[{"op":"upsert","path":"/input/x/y/z","value":{"k":[1]}}]`,
		`[{"op":"upsert","path":"/input/list/0","value":"x"}]`, `[{"op":"upsert","path":"/input/list/9","value":"x"}]`,
		`[{"op":"upsert","path":"/input/list/2/new/er","value":1}]`,
		`[{"op":"upsert","path":"/input/n/x","value":1}]`, `[{"op":"upsert","path":"/input/s/x","value":1}]`,
		`[{"op":"upsert","path":"/input","value":[1]}]`, `[{"op":"upsert","path":"/result","value":{"a":1}}]`,
		`[{"op":"upsert","path":"/result/0","value":7}]`, `["/result", {"op":"upsert","path":"/result","value":1}]`,
		`["/nd_builtin_cache"]`, `["/nd_builtin_cache/x"]`, `["/labels"]`, `["input"]`, `[""]`, `["/"]`, `[1]`,
		`[null]`, `[[]]`, `[{}]`, `[{"op":"add","path":"/input/a"}]`, `[{"op":"remove"}]`,
		`[{"op":"remove","path":"input"}]`, `[{"op":1,"path":"/input"}]`, `[{"op":"remove","path":1}]`, `{}`, `"x"`, `null`, `["/input/%zz"]`, `["/input/ä"]`,
		`[{"op":"upsert","path":"/input/a","value":1},"/input/a"]`, `[{"op":"upsert","path":"/input/masks","value":1}]`,
	} {
		for _, drop := range []any{false, true, "yes", nil} {
			input := map[string]any{"a": map[string]any{"b": "c", "d": json.Number("1.50")},
				"list": []any{json.Number("1"), []any{true}, map[string]any{"k": "v"}}, "n": nil, "s": "s", "drop": drop}
			var list any
			if err := util.UnmarshalJSON([]byte(masks), &list); err != nil {
				t.Fatal(err)
			}
			input["masks"] = list
			theirs, ours := p.log(t, input, []any{map[string]any{"x": "y"}, nil})
			if theirs, ours := text(t, theirs), text(t, ours); theirs != ours {
				t.Errorf("%s, drop %v:\nOPA  %s\nours %s", masks, drop, theirs, ours)
			}
		}
	}
}

// TestMasksOfSeveralItemsHold has masks that OPA applies to other items than the policy meant: the first removal moves
// the others.
func TestMasksOfSeveralItemsHold(t *testing.T) {
	const list = `[{"s":"a0"},{"s":"a1"},{"s":"a2"},["a3","a4",["a5","a6"]],"a7"]`
	p := newPair(t)
	for _, c := range []struct{ masks, want string }{
		{`["/D/0", "/D/1"]`, `[{"s":"a2"},["a3","a4",["a5","a6"]],"a7"]`},
		{`["/D/1", "/D/0"]`, `[{"s":"a2"},["a3","a4",["a5","a6"]],"a7"]`},
		{`["/D/0", "/D/2", "/D/4"]`, `[{"s":"a1"},["a3","a4",["a5","a6"]]]`},
		{`["/D/0", "/D/1", "/D/2", "/D/3", "/D/4"]`, `[]`},
		{`["/D/0/s", "/D/1/s", "/D/0"]`, `[{},{"s":"a2"},["a3","a4",["a5","a6"]],"a7"]`},
		{`["/D/0", "/D/1/s"]`, `[{},{"s":"a2"},["a3","a4",["a5","a6"]],"a7"]`},
		{`["/D/0", "/D/0/s"]`, `[{"s":"a1"},{"s":"a2"},["a3","a4",["a5","a6"]],"a7"]`},
		{`["/D/3/0", "/D/3/1"]`, `[{"s":"a0"},{"s":"a1"},{"s":"a2"},[["a5","a6"]],"a7"]`},
		{`["/D/1", "/D/3/2/0", "/D/3/2/1", "/D/3/0"]`, `[{"s":"a0"},{"s":"a2"},["a4",[]],"a7"]`},
		{`["/D/0", {"op":"upsert","path":"/D/1/s","value":"*"}]`, `[{"s":"*"},{"s":"a2"},["a3","a4",["a5","a6"]],"a7"]`},
		{`["/D/0", {"op":"upsert","path":"/D/1","value":"*"}]`, `["*",{"s":"a2"},["a3","a4",["a5","a6"]],"a7"]`},
		{`[{"op":"upsert","path":"/D/4","value":"*"}, "/D/0", "/D/3"]`, `[{"s":"a1"},{"s":"a2"},"*"]`},
		{`["/D/0", {"op":"upsert","path":"/D/0","value":"*"}]`, `["*",{"s":"a1"},{"s":"a2"},["a3","a4",["a5","a6"]],"a7"]`},
	} {
		for _, at := range []string{"/input/list", "/result/deep/list", "/result"} {
			var masks, input, result any
			for text, into := range map[string]*any{strings.ReplaceAll(c.masks, "/D", at): &masks, list: &input} {
				if err := util.UnmarshalJSON([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
			if result = input; at == "/result/deep/list" {
				result = map[string]any{"deep": map[string]any{"list": input}}
			}
			_, ours := p.log(t, map[string]any{"masks": masks, "list": input}, result)
			in, _ := ours.Input.(map[string]any)
			got := map[string]any{"/input/list": in["list"], "/result": ours.Result}[at]
			if at == "/result/deep/list" {
				deep, _ := ours.Result.(map[string]any)["deep"].(map[string]any)
				got = deep["list"]
			}
			if got := text(t, got); got != c.want {
				t.Errorf("%s below %s leaves %s, want %s", c.masks, at, got, c.want)
			}
		}
	}
}

// FuzzMasks has both logs mask the same event by the same masks.
func FuzzMasks(f *testing.F) {
	f.Add(`{"a":{"b":[1,2]}}`, `["/input/a/b/0"]`)
	f.Add(`{"a":1}`, `[{"op":"upsert","path":"/input/x/y","value":{}},"/result/a"]`)
	f.Add(`[{"a":[]}]`, `[{"op":"remove","path":"/result/0/a"}]`)
	p := newPair(f)
	f.Fuzz(func(t *testing.T, document, masks string) {
		var doc, list any
		if util.UnmarshalJSON([]byte(document), &doc) != nil || util.UnmarshalJSON([]byte(masks), &list) != nil {
			t.Skip()
		}
		theirs, ours := p.log(t, map[string]any{"doc": doc, "masks": list}, doc)
		if !encoded(list) && !moves(list) && differs(theirs, ours) {
			t.Errorf("%s masked by %s:\nOPA  %s\nours %s", document, masks, text(t, theirs), text(t, ours))
		}
	})
}

// encoded reports whether a mask's path has parts that OPA encodes before it looks for them, and so does not find.
func encoded(masks any) bool {
	list, _ := masks.([]any)
	return slices.ContainsFunc(list, func(m any) bool {
		if object, ok := m.(map[string]any); ok {
			m = object["path"]
		}
		path, _ := m.(string)
		return strings.ReplaceAll(url.PathEscape(path), "%2F", "/") != path
	})
}

// moves reports whether several masks have numbers in their paths: one may remove an item before another.
func moves(masks any) bool {
	list, _ := masks.([]any)
	places := 0
	for _, m := range list {
		if strings.ContainsAny(text(nil, m), "0123456789") {
			places++
		}
	}
	return places > 1
}

// differs compares events as far as they are meant to be the same. Ours has less where names say that
// something is secret.
func differs(theirs, ours *fields) bool {
	switch {
	case theirs == nil || ours == nil:
		return theirs != ours
	case len(ours.Erased) > len(theirs.Erased) || len(ours.Masked) > len(theirs.Masked):
		return false
	default:
		return !reflect.DeepEqual(theirs, ours)
	}
}
