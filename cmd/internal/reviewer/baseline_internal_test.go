package reviewer

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"
)

func TestAnswersOfACandidateAreTheBaselineOfWhatFollowsIt(t *testing.T) {
	load := func(limit int, previous *engine.Generation) *engine.Generation {
		g, err := engine.Load(t.Context(), fstest.MapFS{
			"app.rego": {Data: fmt.Appendf(nil, "package app\n\nallow if input.n < %d\n", limit)},
			"far.rego": {Data: []byte("package far\n\nx := 1\n")},
		}, previous)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	a := load(1, nil)
	b := load(2, a)
	c := load(3, b)
	all, ids := []records.Record{{Path: "app/allow"}, {Path: "far/x"}, {Path: "app/allow"}}, []uint64{7, 8, 9}
	text := func(w *Work, i int) string {
		if w.Baseline == nil {
			return "no baseline"
		}
		answer, known := w.Baseline(i)
		return fmt.Sprint(string(answer.Result), " ", known)
	}

	w := &Work{Base: a, Candidate: b, Records: all}
	ofB := withBaseline(w, nil, ids)
	if got := text(w, 0); got != "no baseline" {
		t.Errorf("before anything is known: %s", got)
	}
	for i := range all[:2] {
		w.OnAnswer(i, replay.Answer{Result: []byte(fmt.Sprint("b", i))})
	}
	w.OnAnswer(2, replay.Answer{Result: []byte(strings.Repeat("x", maxAnswer+1))})

	w = &Work{Base: b, Candidate: c, Records: all}
	ofC := withBaseline(w, []*answers{ofB}, ids)
	for i, want := range []string{"b0 true", "b1 true", " false"} {
		if got := text(w, i); got != want {
			t.Errorf("record %d: %q, want %q", i, got, want)
		}
	}
	w.OnAnswer(0, replay.Answer{Result: []byte("c0")})

	w = &Work{Base: c, Candidate: a, Records: all}
	withBaseline(w, []*answers{ofB, ofC}, ids)
	if app, far := text(w, 0), text(w, 1); app != "c0 true" || far != "b1 true" {
		t.Errorf("after a change that reaches one of them: %s, %s", app, far)
	}
	w = &Work{Base: a, Candidate: c, Records: all}
	if withBaseline(w, []*answers{ofB, ofC}, ids); w.Baseline != nil {
		t.Error("another base has a baseline")
	}
}
