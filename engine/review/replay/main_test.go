package replay_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type files map[string]string

// with is the files with some of them replaced.
func (f files) with(more files) files {
	all := files{}
	for name, text := range f {
		all[name] = text
	}
	for name, text := range more {
		all[name] = text
	}
	return all
}

func load(t testing.TB, f files, previous *engine.Generation) *engine.Generation {
	t.Helper()
	src := fstest.MapFS{}
	for name, text := range f {
		src[name] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := engine.Load(t.Context(), src, previous)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var recordedAt = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// decide records decisions of a generation at the path, one for each input, a second apart.
func decide(t testing.TB, g *engine.Generation, path string, inputs ...string) (all []records.Record) {
	t.Helper()
	at, err := engine.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range inputs {
		input, err := g.ReadInput(at, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		rec := records.Record{
			DecisionID: fmt.Sprintf("%s-%d", path, i), Path: path, Input: json.RawMessage(text), Revision: g.Revision(),
			Time: recordedAt.Add(time.Duration(i) * time.Second),
		}
		result, defined, err := g.AppendDecisionLenient(t.Context(), nil, at, input)
		switch {
		case err != nil:
			rec.Error = err.Error()
		case defined:
			rec.Result = result
		}
		all = append(all, rec)
	}
	return all
}

func run(t testing.TB, base, candidate *engine.Generation, recs []records.Record, o replay.Options) *review.Replay {
	t.Helper()
	r, err := replay.Run(t.Context(), base, candidate, recs, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// edit replaces a part of shop/app.rego.
func edit(text, old, now string) files { return edit2("shop/app.rego", text, old, now) }

func edit2(name, text, old, now string) files {
	if !strings.Contains(text, old) {
		panic("nothing to replace: " + old)
	}
	return files{name: strings.Replace(text, old, now, 1)}
}
