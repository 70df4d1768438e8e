package reviewer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/source"
)

// side is a policy with the tests beside it.
type side struct {
	g     *engine.Generation
	tests *engine.Tests
}

func loadFiles(t testing.TB, files map[string]string, before side) side {
	t.Helper()
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := engine.Load(context.Background(), m, before.g)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := engine.ReadTests(context.Background(), m, g, source.Limits{}, before.tests)
	if err != nil {
		t.Fatal(err)
	}
	return side{g, tests}
}

// pack is a policy with a test, whose limit is the parameter.
func pack(limit int) map[string]string {
	return map[string]string{
		"app.rego":      fmt.Sprintf("package app\n\ndefault allow := false\n\nallow if input.n < %d\n", limit),
		"app_test.rego": "package app_test\n\ntest_seven if data.app.allow with input as {\"n\": 7}\n",
		"far.rego":      "package far\n\nx := 1\n",
	}
}

// decisions are records of pack(10): half of them on each side of the limit.
func decisions(n int) []records.Record {
	all := make([]records.Record, n)
	for i := range all {
		all[i] = records.Record{
			DecisionID: fmt.Sprint(i), Path: "app/allow", Input: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i%20)),
			Result: json.RawMessage(fmt.Sprint(i%20 < 10)), Time: time.Now(),
		}
	}
	return all
}

// TestTheProgramsStepsAreMade has an edit of pack reviewed in a process, and in this one.
func TestTheProgramsStepsAreMade(t *testing.T) {
	for _, off := range []bool{false, true} {
		for _, n := range []int{100, 1000} { // so few are made again in this process
			t.Run(fmt.Sprint("off ", off, ", records ", n), func(t *testing.T) {
				r := start(t, func(cfg *reviewer.Config) { cfg.Steps, cfg.Off = reviewer.Steps(), off })
				base := loadFiles(t, pack(10), side{})
				candidate := loadFiles(t, pack(5), base)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				e := r.Review(ctx, base.g, candidate.g, reviewer.Ask{
					Steps: []string{reviewer.Tests, reviewer.Replay, reviewer.Probe}, Tests: candidate.tests, TestsBefore: base.tests, Records: decisions(n),
				})
				if off {
					if fmt.Sprint(e.Incomplete) != "[probe: it takes the reviewer, which is off]" || e.Probe != nil {
						t.Errorf("probe %+v; %q", e.Probe, e.Incomplete)
					}
				} else if len(e.Incomplete) > 0 || e.Probe == nil || len(e.Probe.Found) == 0 || e.Probe.Found[0].Kind != review.AllowToDeny {
					t.Errorf("probe %+v; %q", e.Probe, e.Incomplete)
				}
				if e.Tests == nil || e.Replay == nil {
					t.Fatalf("%+v", e)
				}
				if e.Tests.Ran != 1 || len(e.Tests.Failed) != 1 || e.Tests.Failed[0].Name != "data.app_test.test_seven" {
					t.Errorf("tests %+v", e.Tests)
				}
				if e.Replay.Replayed != n || e.Replay.Flips[review.AllowToDeny] != n/4 || e.Replay.Confidence != review.ConfidenceExact {
					t.Errorf("replay %+v", e.Replay)
				}
				e = r.Review(ctx, candidate.g, candidate.g, reviewer.Ask{Steps: []string{reviewer.Coverage}, Records: decisions(n)})
				if c := e.Coverage; c == nil || len(e.Incomplete) > 0 || c.Evaluated != n || len(c.Files) != 2 || len(c.Files[0].Reached) != 2 || len(c.Files[1].Missed) != 1 {
					t.Errorf("coverage %+v; %q", c, e.Incomplete)
				}
			})
		}
	}
}

// TestARecordThatIsDamagedIsNotReplayed has a record whose input is no JSON.
func TestARecordThatIsDamagedIsNotReplayed(t *testing.T) {
	r := start(t, func(cfg *reviewer.Config) { cfg.Steps = reviewer.Steps() })
	base := loadFiles(t, pack(10), side{})
	all := decisions(300)
	all[7].Input = json.RawMessage(`{"n":`)
	e := r.Review(t.Context(), base.g, loadFiles(t, pack(5), base).g, reviewer.Ask{Steps: []string{reviewer.Replay}, Records: all})
	if e.Replay == nil || e.Replay.NotReplayable["error"] != 1 || e.Replay.Replayed+1 != e.Replay.Reached {
		t.Errorf("%+v; %+v", e.Replay, e.Incomplete)
	}
}

// TestRecordsAreGivenOnceAndWeighedEachTime reviews twice, with a record more and one less, of which each stands for more.
func TestRecordsAreGivenOnceAndWeighedEachTime(t *testing.T) {
	r := start(t, func(cfg *reviewer.Config) { cfg.Steps = reviewer.Steps() })
	base := loadFiles(t, pack(10), side{})
	candidate := loadFiles(t, pack(5), base)
	all := decisions(401)
	for i := range all {
		all[i].Weight = 1
	}
	ask := reviewer.Ask{Steps: []string{reviewer.Replay}, Records: all[:400]}
	if e := r.Review(t.Context(), base.g, candidate.g, ask); e.Replay == nil || e.Replay.Replayed != 400 || e.Replay.Share.Of != 400 {
		t.Fatalf("%+v; %q", e.Replay, e.Incomplete)
	}
	ask.Records = all[1:]
	for i := range ask.Records {
		ask.Records[i].Weight = 3
	}
	if e := r.Review(t.Context(), base.g, candidate.g, ask); e.Replay == nil || e.Replay.Replayed != 400 || e.Replay.Share.Of != 1200 {
		t.Fatalf("%+v; %q", e.Replay, e.Incomplete)
	}

	// Any choice of them in any order, with any weights, or with the same once more.
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		switch random.IntN(4) {
		case 0: // as before
		case 1:
			ask.Records = slices.Clone(ask.Records)
			ask.Records[random.IntN(len(ask.Records))].Weight++
		case 2: // some went
			ask.Records = slices.DeleteFunc(slices.Clone(all), func(records.Record) bool { return random.IntN(40) == 0 })
		default:
			ask.Records = slices.Clone(all)
			random.Shuffle(300, func(i, j int) { ask.Records[i], ask.Records[j] = ask.Records[j], ask.Records[i] })
		}
		want := 0.0
		for _, rec := range ask.Records {
			want += rec.Weight
		}
		if e := r.Review(t.Context(), base.g, candidate.g, ask); e.Replay == nil || e.Replay.Replayed != len(ask.Records) || e.Replay.Share.Of != uint64(want) {
			t.Fatalf("round %d: %+v; %q; want %d that stand for %v", round, e.Replay, e.Incomplete, len(ask.Records), want)
		}
	}
}

// TestAStarvedReplayIsPartial gives a replay less time than it needs.
func TestAStarvedReplayIsPartial(t *testing.T) {
	r := start(t, func(cfg *reviewer.Config) { cfg.Steps = reviewer.Steps() })
	slow := func(limit int) map[string]string {
		return map[string]string{"app.rego": fmt.Sprintf("package app\n\nallow if {\n\tcount([1 | some i in numbers.range(1, 8000); i > %d]) > 0\n\tinput.n >= 0\n}\n", limit)}
	}
	base := loadFiles(t, slow(10), side{})
	all := decisions(4000)
	for i := range all {
		all[i].Input, all[i].Shape, all[i].Result = json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)), fmt.Sprint(i), json.RawMessage("true")
	}
	ask := reviewer.Ask{Steps: []string{reviewer.Replay}, Records: all}
	candidate := loadFiles(t, slow(11), base)
	r.Review(t.Context(), base.g, candidate.g, reviewer.Ask{Steps: []string{reviewer.Replay}, Records: all[:201]}) // it has both
	var e review.Evidence
	for enough := time.Second; enough < patience && (e.Replay == nil || e.Replay.Replayed == 0); enough *= 2 { // a busy machine gets nothing done in one
		ctx, cancel := context.WithTimeout(t.Context(), enough)
		e = r.Review(ctx, base.g, candidate.g, ask)
		cancel()
	}
	if len(e.Incomplete) != 1 || e.Replay == nil || e.Replay.Replayed == 0 || e.Replay.Replayed >= len(all) ||
		!strings.Contains(e.Incomplete[0], "kinds of decisions were replayed before the time was over") {
		t.Errorf("%+v; %q", e.Replay, e.Incomplete)
	}
}

// TestAPolicyThatEatsMemoryEndsTheProcessAlone replays a record on a candidate that needs more memory than there is.
func TestAPolicyThatEatsMemoryEndsTheProcessAlone(t *testing.T) {
	if underRace {
		t.Skip("under the race detector, no process starts within the limit")
	}
	r := start(t, func(cfg *reviewer.Config) { cfg.Steps, cfg.MemoryBytes = reviewer.Steps(), 32<<20 })
	base := loadFiles(t, pack(10), side{})
	hungry := pack(10)
	hungry["app.rego"] = "package app\n\nallow if input.n < count([s | some i in numbers.range(1, 20000); s := sprintf(\"%0100000d\", [i])])\n"
	e := r.Review(t.Context(), base.g, loadFiles(t, hungry, base).g, reviewer.Ask{Steps: []string{reviewer.Replay}, Records: decisions(300)})
	if len(e.Incomplete) != 1 || e.Replay != nil || !strings.HasPrefix(e.Incomplete[0], "replay: the reviewer had no memory left") {
		t.Errorf("%+v; %q; ended %+v", e.Replay, e.Incomplete, r.ends())
	}
}
