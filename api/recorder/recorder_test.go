package recorder_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/api/recorder"
	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
)

func TestADecisionIsRecordedWithItsBranch(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, config(nil))
	before := time.Now()
	r.decide(g, "app/allow", `{"user":"alice", "method":"POST"}`)
	r.decide(g, "app/allow", `{"user":"bob","method":"GET"}`)
	r.decide(g, "app/allow", `{"user":"bob","method":"POST"}`)
	r.decide(g, "app/allow", `{"method":"POST","user":"eve"}`)
	r.decide(g, "app/early", "")
	r.decide(g, "app/conflict", "")
	all := r.snapshot()
	found := byPath(all)
	if len(found["app/allow"]) != 4 || len(found["app/early"]) != 1 || len(found["app/conflict"]) != 1 || len(all.Records) != 6 {
		t.Fatalf("recorded: %+v", all.Records)
	}
	branches, shapes := map[string]int{}, map[string]int{}
	for _, rec := range found["app/allow"] {
		branches[rec.Branch]++
		shapes[rec.Shape]++
		if rec.Revision != g.Revision() || rec.Time.Before(before) || rec.Strict || rec.Masked || rec.DecisionID != "an-id" {
			t.Errorf("recorded: %+v", rec)
		}
		if strings.Contains(string(rec.Input), "alice") != (string(rec.Result) == "true") && !strings.Contains(string(rec.Input), "GET") {
			t.Errorf("the answer to %s is %s", rec.Input, rec.Result)
		}
	}
	if len(branches) != 3 || len(shapes) != 1 {
		t.Errorf("branches %v, shapes %v: want those of alice, of bob's GET and of the default", branches, shapes)
	}
	if rec := found["app/early"][0]; rec.Result != nil || rec.Error != "" || rec.Input != nil {
		t.Errorf("undefined: %+v", rec)
	}
	if rec := found["app/conflict"][0]; !strings.HasPrefix(rec.Error, "eval_conflict_error: ") || rec.Result != nil {
		t.Errorf("an error: %+v", rec)
	}
}

func TestAStrictDecisionIsRecordedAsOne(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, config(nil))
	r.decideStrictly(g, "app/broken", map[string]any{"zero": 0})
	r.decide(g, "app/broken", `{"zero":0}`)
	found := byPath(r.snapshot())["app/broken"]
	if len(found) != 2 {
		t.Fatalf("recorded: %+v", found)
	}
	for _, rec := range found {
		if rec.Strict != strings.Contains(rec.Error, "divide by zero") || string(rec.Input) != `{"zero":0}` {
			t.Errorf("recorded: %+v", rec)
		}
		if rec.Strict && rec.DecisionID == "" {
			t.Error("a decision without an identifier gets none")
		}
	}
}

func TestWhatIsNotDeterministicIsRecorded(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, config(nil))
	// A roll of the dice again explains one of six answers only, so that all six appear with their explanation in time.
	explained := func() int {
		n := 0
		for _, rec := range byPath(r.snapshot())["app/dice"] {
			if rec.NDBuiltins == nil {
				continue
			}
			n++
			if want := fmt.Sprintf(`{"rand.intn":{"[\"x\",6]":%s}}`, rec.Result); string(rec.NDBuiltins) != want {
				t.Errorf("the answer %s is explained by %s", rec.Result, rec.NDBuiltins)
			}
		}
		return n
	}
	for explained() == 0 {
		r.decide(g, "app/dice", "")
	}
	r.decide(g, "app/early", "")
	if rec := byPath(r.snapshot())["app/early"][0]; rec.NDBuiltins != nil {
		t.Errorf("the time of a record is its own: %s", rec.NDBuiltins)
	}
}

func TestTheRareAnswerIsRecordedAmongManyOthers(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, config(nil))
	for n := range 5000 {
		r.decide(g, "app/allow", fmt.Sprintf(`{"user":"eve","n":%d}`, n))
		if n == 2500 {
			r.decide(g, "app/allow", `{"user":"alice"}`)
		}
	}
	all := r.snapshot()
	found := 0
	for _, rec := range all.Records {
		if string(rec.Result) == "true" {
			found++
			if rec.Weight != 1 {
				t.Errorf("the rare one stands for %v", rec.Weight)
			}
		}
	}
	if found != 1 || all.Strata != 2 || len(all.Records) > 9 || all.Seen < 3500 || all.Seen > 5700 {
		t.Errorf("%d rare ones; %d records in %d strata stand for %d decisions", found, len(all.Records), all.Strata, all.Seen)
	}
}

func TestOnlyDocumentsOfTheSettingAreRecorded(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy, "q.rego": "package other\nx := 1"})
	cfg := config(nil)
	cfg.Paths = []engine.Path{{"other"}}
	r := run(t, cfg)
	r.decide(g, "app/allow", "")
	r.decide(g, "other/x", "")
	r.decide(g, "other", "")
	if all := r.snapshot(); len(all.Records) != 2 || len(byPath(all)["app/allow"]) != 0 {
		t.Errorf("recorded: %+v", all.Records)
	}
}

func TestPathsThatNothingDefinesAreCountedOnly(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, config(nil))
	for n := range 3000 {
		r.decide(g, fmt.Sprintf("made/up/%d", n), "")
	}
	r.decide(g, "app/allow", "")
	all := r.snapshot()
	if len(all.Records) != 1 || r.Health().Dropped[recorder.DroppedUndefined] == 0 {
		t.Errorf("recorded: %d; dropped %v", len(all.Records), r.Health().Dropped)
	}
}

func TestTheQueueDropsAndNeverWaits(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	r, err := recorder.New(config(nil)) // and nobody runs it
	if err != nil {
		t.Fatal(err)
	}
	idle := &running{r, t, func() {}}
	for n := range 400 {
		idle.decideStrictly(g, "app/echo", map[string]any{"n": n, "long": strings.Repeat("x", 50_000)})
	}
	if r.Health().Dropped[recorder.DroppedQueue] == 0 {
		t.Errorf("dropped %v", r.Health().Dropped)
	}
	idle.decide(g, "app/allow", `{"long":"`+strings.Repeat("x", 600_000)+`"}`)
	if r.Health().Dropped[recorder.DroppedTooLarge] != 1 {
		t.Errorf("dropped %v", r.Health().Dropped)
	}
}

func TestAQueryIsNotRecordedAndNeitherIsLoad(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, config(nil))
	for _, q := range []decision.Question{{Text: "data.app.allow"}, {Path: engine.Path{"app", "allow"}, Untold: true}} {
		r.Begin(g, q, time.Now()).End(decision.Answer{Defined: true, Result: true})
	}
	for _, err := range []error{engine.ErrBusy, engine.ErrDecisionTimeout, context.Canceled, &engine.Unavailable{Err: engine.ErrBusy}} {
		r.Begin(g, decision.Question{Path: engine.Path{"app", "allow"}}, time.Now()).End(decision.Answer{Err: err})
	}
	if all := r.snapshot(); len(all.Records) != 0 {
		t.Errorf("recorded: %+v", all.Records)
	}
	var none *recorder.Recorder
	none.Begin(g, decision.Question{}, time.Now()).End(decision.Answer{})
}

func TestClearedRecordsAreGoneAndRecordingGoesOn(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, config(nil))
	for range 100 {
		r.decide(g, "app/allow", `{"user":"alice"}`)
	}
	r.settled()
	if err := r.Clear(); err != nil {
		t.Fatal(err)
	}
	if all := r.snapshot(); len(all.Records) != 0 || r.Health().Records != 0 || r.Health().Bytes != 0 {
		t.Errorf("left: %+v", all.Records)
	}
	for range 8 {
		r.decide(g, "app/allow", `{"user":"alice"}`)
	}
	if all := r.snapshot(); len(all.Records) != 8 {
		t.Errorf("%d records after it was cleared: the first eight are always taken", len(all.Records))
	}
}

func TestARecordedLogIsReadAsOne(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, config(nil))
	for n := range 50 {
		r.decide(g, "app/allow", fmt.Sprintf(`{"user":"alice","n":%d}`, n))
	}
	all := r.snapshot()
	var text strings.Builder
	if err := records.Write(&text, all.Records); err != nil {
		t.Fatal(err)
	}
	again, err := records.Read(strings.NewReader(text.String()), records.Bounds{})
	if err != nil || len(again.Records) != len(all.Records) || again.Seen != all.Seen || again.Strata != all.Strata {
		t.Errorf("%d records, %d seen, %d strata, %v; want %d, %d, %d", len(again.Records), again.Seen, again.Strata, err, len(all.Records), all.Seen, all.Strata)
	}
	var event struct {
		Custom map[string]any `json:"custom"`
	}
	if err := json.Unmarshal([]byte(strings.SplitN(text.String(), "\n", 2)[0]), &event); err != nil || event.Custom["seen"] == nil || event.Custom["branch"] == nil {
		t.Errorf("custom is %v, %v", event.Custom, err)
	}
}
