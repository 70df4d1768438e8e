package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/policies"

	"pgregory.net/rapid"
)

// pack is the default pack with other data.
func pack(t testing.TB, data string) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	err := fs.WalkDir(policies.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(policies.FS(), p)
		m[p] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if data != "" {
		m["data.json"] = &fstest.MapFile{Data: []byte(data)}
	}
	return m
}

func loaded(t testing.TB, src fs.FS, previous *engine.Generation) *engine.Generation {
	t.Helper()
	g, err := engine.Load(t.Context(), src, previous)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func packData(t testing.TB) map[string]any {
	t.Helper()
	text, err := fs.ReadFile(policies.FS(), "data.json")
	if err != nil {
		t.Fatal(err)
	}
	var data map[string]any
	if err := json.Unmarshal(text, &data); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestATextWhereAListWasExpectedIsRefused(t *testing.T) {
	data := packData(t)
	data["firewall"].(map[string]any)["blocked_destinations"] = "evil.example"
	text, err := json.MarshalIndent(data, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	good := loaded(t, pack(t, ""), nil)
	guard := &Guard{}
	if err := guard.Refuse(good); err != nil {
		t.Fatal(err)
	}
	bad := loaded(t, pack(t, string(text)), good)
	for range 2 { // refusing does not make it right
		var refused *engine.Refused
		if err := guard.Refuse(bad); !errors.As(err, &refused) || len(refused.Diagnostics) != 1 {
			t.Fatal(err)
		}
		d := refused.Diagnostics[0]
		if d.Message != "firewall.blocked_destinations: got string, want array" || d.File != "data.json" || !strings.Contains(d.Text, "evil.example") {
			t.Errorf("%+v", d)
		}
	}
	if err := guard.Refuse(good); err != nil {
		t.Error(err)
	}
}

func TestASectionThatNoRuleReadsMayBeMissing(t *testing.T) {
	own := fstest.MapFS{"a.rego": {Data: []byte("package defenseclaw.admission\nverdict := \"allowed\" if input.x")}}
	guard := &Guard{}
	first := loaded(t, own, nil)
	if err := guard.Refuse(first); err != nil {
		t.Errorf("%v; the rules read no data", err)
	}
	reads := fstest.MapFS{"a.rego": {Data: []byte("package defenseclaw.admission\nverdict := \"allowed\" if data.severity_ranking[input.x] > 2")}}
	var refused *engine.Refused
	if err := guard.Refuse(loaded(t, reads, first)); !errors.As(err, &refused) || refused.Diagnostics[0].Message != "missing property 'severity_ranking'" {
		t.Errorf("%v; want the one section that is read", err)
	}
	other := fstest.MapFS{"a.rego": {Data: []byte("package app\nx := data.firewall")}, "data.json": {Data: []byte(`{"firewall": 1}`)}}
	if err := guard.Refuse(loaded(t, other, first)); err != nil {
		t.Errorf("%v; the schema is of the default pack", err)
	}
}

// What is left out of the comparison must not change its result, whatever the history of edits.
func TestTheGuardRefusesWhatTheWholeSchemaRefuses(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		guard := &Guard{}
		data := packData(t)
		base := loaded(t, pack(t, ""), nil)
		var previous *engine.Generation
		for range rapid.IntRange(1, 6).Draw(rt, "edits") {
			next := mutate(rt, data).(map[string]any)
			text, err := json.Marshal(next)
			if err != nil {
				rt.Fatal(err)
			}
			if previous == nil {
				previous = base
			}
			g, err := engine.Load(t.Context(), pack(t, string(text)), previous)
			if err != nil {
				rt.Fatal(err)
			}
			want, err := Check(g)
			if err != nil {
				rt.Fatal(err)
			}
			var refused *engine.Refused
			if err := guard.Refuse(g); (err != nil) != (len(want) > 0) || err != nil && !errors.As(err, &refused) {
				rt.Fatalf("%s\nthe guard says %v, the schema %v", text, err, want)
			}
			if refused != nil && fmt.Sprint(refused.Diagnostics) != fmt.Sprint(want) {
				rt.Fatalf("%s\nthe guard says %v, the schema %v", text, refused.Diagnostics, want)
			}
			if len(want) == 0 || rapid.Bool().Draw(rt, "keep") {
				previous, data = g, next
			}
		}
	})
}

// mutate changes one place of a document, and leaves the original alone.
func mutate(rt *rapid.T, v any) any {
	values := []any{"x", "block", 1, 3.5, true, nil, []any{}, []any{"a", 1}, map[string]any{}, map[string]any{"HIGH": map[string]any{"runtime": "stop"}}}
	switch v := v.(type) {
	case map[string]any:
		next := maps.Clone(v)
		keys := slices.Sorted(maps.Keys(next))
		if len(keys) == 0 || rapid.IntRange(0, 9).Draw(rt, "add") == 0 {
			next[rapid.SampledFrom([]string{"new", "HIGH", "runtime"}).Draw(rt, "key")] = rapid.SampledFrom(values).Draw(rt, "value")
			return next
		}
		key := rapid.SampledFrom(keys).Draw(rt, "at")
		switch rapid.IntRange(0, 9).Draw(rt, "how") {
		case 0:
			next[key] = rapid.SampledFrom(values).Draw(rt, "value")
		default:
			next[key] = mutate(rt, next[key])
		}
		return next
	case []any:
		next := slices.Clone(v)
		at := rapid.IntRange(0, len(next)).Draw(rt, "index")
		if at == len(next) || rapid.Bool().Draw(rt, "insert") {
			return slices.Insert(next, at, rapid.SampledFrom([]any{"y", "z", 443, nil}).Draw(rt, "element"))
		}
		next[at] = mutate(rt, next[at])
		return next
	default:
		return rapid.SampledFrom(values).Draw(rt, "scalar")
	}
}

// The schema may only say of lists what holds for each element alone: see changed.
func TestTheSchemaSaysNothingOfWholeLists(t *testing.T) {
	for _, word := range []string{"minItems", "maxItems", "uniqueItems", "contains", "prefixItems", "unevaluated", "minProperties", "maxProperties", "dependent"} {
		if strings.Contains(string(policies.DataSchema()), `"`+word) {
			t.Errorf("the schema has %s, which Guard does not compare: it leaves out elements that are as they were", word)
		}
	}
	compiled, err := compiledSchema()
	if err != nil {
		t.Fatal(err)
	}
	if compiled.closed || compiled.others != nil {
		t.Error("the schema speaks of sections that it does not name, which Guard does not compare")
	}
}

func BenchmarkGuardOneElementOfManyChanges(b *testing.B) {
	list := func(n int, more string) string {
		data := packData(b)
		var all []any
		for i := range n {
			all = append(all, fmt.Sprintf("host%d.example", i))
		}
		data["firewall"].(map[string]any)["blocked_destinations"] = append(all, more)
		text, err := json.Marshal(data)
		if err != nil {
			b.Fatal(err)
		}
		return string(text)
	}
	before := loaded(b, pack(b, list(100_000, "a")), nil)
	turns := []*engine.Generation{before, loaded(b, pack(b, list(100_000, "b")), before)}
	guard := &Guard{}
	if err := guard.Refuse(before); err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i++
		if err := guard.Refuse(turns[i%2]); err != nil {
			b.Fatal(err)
		}
	}
}
