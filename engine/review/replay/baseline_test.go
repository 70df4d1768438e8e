package replay_test

import (
	"testing"

	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"
)

// TestAFlipIsReportedOnce makes three edits in a row over records of the first policy: each replay says what its edit flips,
// whether or not the answers of the replay before are given to it, and with them evaluates no base that answers alike.
func TestAFlipIsReportedOnce(t *testing.T) {
	first := load(t, shop, nil)
	second := load(t, shop.with(edit(shop["shop/app.rego"], `input.role == "root"`, `input.role == "x"`)), first)
	third := load(t, shop.with(edit(shop["shop/app.rego"], `input.role == "root"`, `input.role == concat("", ["x"])`)), second)
	recs := decide(t, first, "shop/allow", `{"role":"root"}`, `{"role":"none"}`, `{"role":"x"}`)
	masked := recs[0]
	masked.Masked = true
	recs = append(recs, masked)

	known := map[int]replay.Answer{}
	r := run(t, first, second, recs, replay.Options{OnAnswer: func(i int, a replay.Answer) { known[i] = a }})
	if r.Total() != 3 || len(known) != 4 {
		t.Fatalf("%+v; %d answers", r, len(known))
	}
	if r := run(t, second, third, recs, replay.Options{}); r.Total() != 0 || r.Replayed != 3 {
		t.Errorf("it is reported again: %+v", r)
	}
	baseline := func(i int) (replay.Answer, bool) { a, ok := known[i]; return a, ok }
	r = run(t, second, third, recs, replay.Options{Baseline: baseline})
	if r.Total() != 0 || r.Replayed != 3 || r.NotReplayable[replay.Masked] != 1 {
		t.Errorf("it is reported again: %+v", r)
	}
	if r := run(t, second, first, recs, replay.Options{Baseline: baseline}); r.Total() != 2 {
		t.Errorf("the way back is a flip as well, where it was asked for: %+v", r)
	}

	// A baseline that is wrong is believed where the candidate agrees, so no base was evaluated; where it does not, one is.
	wrong := func(i int) (replay.Answer, bool) {
		a, err := answerOf(decide(t, first, "shop/allow", string(recs[i].Input))[0])
		return a, err
	}
	older := append([]records.Record{}, recs[:3]...)
	for i := range older {
		older[i].Revision = "sha256:older"
	}
	if r := run(t, second, first, older, replay.Options{Baseline: wrong}); r.Total() != 0 || r.Replayed != 3 {
		t.Errorf("the base was evaluated: %+v", r)
	}
	if r := run(t, second, third, older, replay.Options{Baseline: wrong}); r.NotReplayable[replay.Nondeterministic] != 2 || r.Total() != 0 {
		t.Errorf("the base was not evaluated: %+v", r)
	}
}

func answerOf(rec records.Record) (replay.Answer, bool) {
	return replay.Answer{Result: rec.Result, Failure: rec.Error}, true
}
