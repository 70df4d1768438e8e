package replay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/corpus"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"
)

// request is a random input of the corpus.
func request(random *rand.Rand, tenant int) string {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	return fmt.Sprintf(`{"user":{"name":%q,"roles":[%q]},"action":%q,"size":%d,"age":%d,"region":%q,"tenant":%q}`,
		pick("ann", fmt.Sprintf("mallory-%d", tenant), "Bob "), pick("admin", "editor", "viewer", "none"), pick("read", "write", "delete"),
		4000+random.IntN(200), random.IntN(9), pick("eu", "us", "cn"), fmt.Sprintf("t%d", tenant))
}

// TestReplayFindsExactlyWhatEvaluatesOtherwise compares replays of random records with both generations' own answers.
func TestReplayFindsExactlyWhatEvaluatesOtherwise(t *testing.T) {
	const tenants = 12
	random := rand.New(rand.NewPCG(1, 2))
	base := load(t, corpus.Tenants(tenants), nil)
	var recs []records.Record
	for range 600 {
		tenant := random.IntN(tenants)
		rule := []string{"allow", "reasons", "risk", "quota", "name", "denied", "built_on"}[random.IntN(7)]
		recs = append(recs, decide(t, base, fmt.Sprintf("tenants/t%d/%s", tenant, rule), request(random, tenant))...)
	}
	for name, edit := range map[string]files{
		"nothing": {}, "a comment": {corpus.TenantPath(3): corpus.Tenant(3, 0) + "# more\n"},
		"a leaf": {corpus.TenantPath(3): corpus.Tenant(3, 7)}, "a library": {corpus.LibraryPath(2): corpus.Library(2, 50)},
		"data":          {"data.json": `{"limits": {"requests": 99, "size": 4100}, "regions": ["eu", "cn"]}`},
		"two libraries": {corpus.LibraryPath(0): corpus.LibraryWithAnotherSignature(0, 1), corpus.LibraryPath(1): corpus.Library(1, 90)},
	} {
		t.Run(name, func(t *testing.T) {
			candidate := load(t, files(corpus.Tenants(tenants)).with(edit), base)
			want := 0
			for i := range recs {
				now := decide(t, candidate, recs[i].Path, string(recs[i].Input))
				if string(now[0].Result) != string(recs[i].Result) {
					want++
				}
			}
			r := run(t, base, candidate, recs, replay.Options{})
			grouped := 0
			for _, g := range r.Groups {
				grouped += g.Count
			}
			if r.Total() != want || grouped != want || len(r.NotReplayable) > 0 || r.Confidence != review.ConfidenceExact {
				t.Errorf("%d flips in %d, in groups %d, not replayable %v, %s; want %d", r.Total(), r.Reached, grouped, r.NotReplayable, r.Confidence, want)
			}
			if (name == "nothing" || name == "a comment") != (r.Reached == 0) || name != "nothing" && name != "a comment" && want == 0 {
				t.Errorf("%d records are reached, and %d flip", r.Reached, want)
			}
			if name == "a leaf" && r.Reached > len(recs)/tenants*2 {
				t.Errorf("an edit of one tenant reaches %d records", r.Reached)
			}
		})
	}
}

func TestADecisionIsMadeWithItsOwnTimeAndChance(t *testing.T) {
	f := files{"p.rego": `package p

day := time.weekday(time.now_ns())
dice := rand.intn("dice", 1000000)
id := uuid.rfc4122("k")
both := {"dice": dice, "in_time": time.now_ns() < 1796000000000000000, "level": 1}
`}
	base := load(t, f, nil)
	candidate := load(t, f.with(edit2("p.rego", f["p.rego"], `"level": 1`, `"level": 2`)), base)
	known := json.RawMessage(`{"rand.intn":{"[\"dice\",1000000]":17},"uuid.rfc4122":{"[\"k\"]":"00000000-0000-4000-8000-000000000000"}}`)
	rec := func(path, result string) records.Record {
		return records.Record{Path: path, Result: json.RawMessage(result), Time: recordedAt, NDBuiltins: known, Revision: base.Revision()}
	}
	r := run(t, base, candidate, []records.Record{
		rec("p/day", `"Friday"`), rec("p/dice", `17`), rec("p/id", `"00000000-0000-4000-8000-000000000000"`),
		rec("p/both", `{"dice":17,"in_time":true,"level":1}`),
	}, replay.Options{})
	if r.Total() != 1 || r.Replayed != 4 || string(r.Groups[0].Examples[0].After) != `{"dice":17,"in_time":true,"level":2}` {
		t.Errorf("%+v", r)
	}
	// Without what chance gave, nothing is known of the decisions that it made.
	unknown := rec("p/both", `{"dice":17,"in_time":true,"level":1}`)
	unknown.NDBuiltins = nil
	r = run(t, base, candidate, []records.Record{unknown}, replay.Options{})
	if r.NotReplayable[replay.Nondeterministic] != 1 || r.Total()+r.Replayed != 0 || r.Confidence != review.ConfidenceSampled {
		t.Errorf("%+v", r)
	}
}

func TestWhatCannotBeReplayedIsCountedByReason(t *testing.T) {
	f := files{"p.rego": `package p

limit := 10

allow if to_number(input.n) > limit

slow := count([1 | some i in numbers.range(1, 900000); i % 7 == input.n]) if input.n == limit * 2

slow := 1 if input.n < limit
`}
	base := load(t, f, nil)
	candidate := load(t, f.with(edit2("p.rego", f["p.rego"], `limit := 10`, "limit := 20\n\nback := 2")), base)
	rec := func(path, input, result string, more func(*records.Record)) records.Record {
		r := records.Record{Path: path, Input: json.RawMessage(input), Time: recordedAt, Revision: base.Revision()}
		if result != "" {
			r.Result = json.RawMessage(result)
		}
		if more != nil {
			more(&r)
		}
		return r
	}
	masked := func(r *records.Record) { r.Masked = true }
	strict := func(r *records.Record) { r.Strict = true }
	for name, c := range map[string]struct {
		rec    records.Record
		reason string // empty: it is replayed
		flips  int
	}{
		"a flip":                               {rec("p/allow", `{"n":"15"}`, `true`, nil), "", 1},
		"no flip":                              {rec("p/allow", `{"n":"25"}`, `true`, nil), "", 0},
		"masked, and the base agrees":          {rec("p/allow", `{"n":"15"}`, `true`, masked), "", 1},
		"masked, and the base does not":        {rec("p/allow", `{"n":"***"}`, `true`, masked), replay.Masked, 0},
		"masked, and the candidate agrees":     {rec("p/allow", `{"n":"15"}`, ``, masked), replay.Masked, 0},
		"something else decided":               {rec("p/allow", `{"n":"25"}`, `"other"`, nil), replay.Nondeterministic, 0},
		"nothing is there":                     {rec("p/back", `{}`, `1`, nil), replay.Gone, 0},
		"an error that was none":               {rec("p/allow", `{"n":"x"}`, `true`, strict), replay.Failed, 0},
		"an error that is one":                 {rec("p/allow", `{"n":"x"}`, ``, func(r *records.Record) { r.Error, r.Strict = "eval_builtin_error: x", true }), "", 0},
		"an error that is one, and not said":   {rec("p/allow", `{"n":"x"}`, ``, func(r *records.Record) { r.Error = "eval_builtin_error: x" }), "", 0},
		"of an older policy":                   {rec("p/allow", `{"n":"15"}`, ``, func(r *records.Record) { r.Revision = "sha256:older" }), "", 1},
		"of an older policy, and the same now": {rec("p/allow", `{"n":"25"}`, ``, func(r *records.Record) { r.Revision = "sha256:older" }), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, base, candidate, []records.Record{c.rec}, replay.Options{Timeout: time.Minute})
			want := map[string]int{}
			if c.reason != "" {
				want[c.reason] = 1
			}
			if !maps.Equal(r.NotReplayable, want) || r.Total() != c.flips || r.Replayed+len(want) != 1 {
				t.Errorf("%+v", r)
			}
		})
	}
	r := run(t, base, candidate, []records.Record{rec("p/slow", `{"n":40}`, ``, nil)}, replay.Options{Timeout: time.Millisecond})
	if r.NotReplayable[replay.Timeout] != 1 || r.Total() != 0 {
		t.Errorf("%+v", r)
	}
}

func TestACutIsStillAPicture(t *testing.T) {
	base := load(t, shop, nil)
	candidate := load(t, shop.with(edit(shop["shop/app.rego"], `input.role == "root"`, `input.role == "x"`)), base)
	var recs []records.Record
	for i := range 50 {
		for k, rec := range decide(t, base, "shop/allow", `{"role":"root"}`, `{"role":"none"}`) {
			rec.Time, rec.Weight, rec.Branch = recordedAt.Add(time.Duration(i)*time.Hour), 10, fmt.Sprint(k)
			recs = append(recs, rec)
		}
	}
	slices.SortFunc(recs, func(a, b records.Record) int { return len(a.Result) - len(b.Result) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	o := replay.Options{OnAnswer: func(int, replay.Answer) {
		if n++; n == 2 {
			cancel()
		}
	}}
	r, err := replay.Run(ctx, base, candidate, recs, o)
	if err != nil || r.Replayed != 2 || r.StrataReplayed != 2 || r.Total() != 1 || r.Confidence != review.ConfidenceSampled {
		t.Errorf("%+v, %v", r, err)
	}
	if r.Share.Of != 1000 || r.Share.Flips != 0.5 || r.Share.Low > 0.2 || r.Share.High < 0.8 {
		t.Errorf("%+v", r.Share)
	}
	r = run(t, base, candidate, recs, replay.Options{})
	if r.Share.Flips != 0.5 || r.Share.Low < 0.4 || r.Share.High > 0.6 || r.Confidence != review.ConfidenceExact {
		t.Errorf("%+v", r)
	}
	if e := r.Groups[0].Examples; len(e) != 3 || e[0].Time != recordedAt.Add(49*time.Hour) || e[2].Time != recordedAt.Add(47*time.Hour) {
		t.Errorf("the newest are not the examples: %+v", e)
	}
	if r = run(t, base, candidate, recs, replay.Options{Budget: 1}); r.Replayed != 0 || r.Confidence != review.ConfidencePartial {
		t.Errorf("%+v", r)
	}
}

func TestClausesThatHeldInNoRecordAreNamed(t *testing.T) {
	base := load(t, shop, nil)
	candidate := load(t, shop.with(edit(shop["shop/app.rego"], `blocked if`, "allow if input.vip\n\nallow if input.beta\n\nblocked if")), base)
	r := run(t, base, candidate, decide(t, base, "shop/allow", `{"vip":true,"role":"root"}`, `{}`), replay.Options{})
	if want := []string{"shop/app.rego:16"}; !slices.Equal(r.Unseen, want) {
		t.Errorf("unseen are %v, want %v", r.Unseen, want)
	}
}

func TestNumbersAndSetsCompareAsCallersSeeThem(t *testing.T) {
	f := files{"p.rego": "package p\n\nx := {\"n\": 1.0, \"s\": {2, 1}, \"v\": 1}\n"}
	base := load(t, f, nil)
	candidate := load(t, files{"p.rego": "package p\n\nx := {\"v\": 1, \"s\": [1, 2.0], \"n\": 1}\n"}, base)
	r := run(t, base, candidate, decide(t, base, "p/x", `{}`), replay.Options{})
	if r.Replayed != 1 || r.Total() != 0 {
		t.Errorf("%+v", r)
	}
}

func TestNothingOfAReplayIsSeenByDecisions(t *testing.T) {
	base := load(t, shop, nil)
	candidate := load(t, shop.with(edit(shop["shop/app.rego"], `"root"`, `"x"`)), base)
	run(t, base, candidate, decide(t, load(t, shop, nil), "shop/allow", `{"role":"root"}`), replay.Options{})
	for _, g := range []*engine.Generation{base, candidate} {
		if ways := g.Ways(); len(ways) != 0 {
			t.Errorf("a replay has left plans: %v", ways)
		}
	}
}

// TestADecisionThatTakesTooLongIsLeftOutAndTheOthersAreCompared under a deadline of the whole replay, which is far.
func TestADecisionThatTakesTooLongIsLeftOutAndTheOthersAreCompared(t *testing.T) {
	const loops = "package p\nallow if count([1 | some i in numbers.range(1, input.n); some j in numbers.range(1, input.n); i == j; i > %d]) > 0\n"
	base, candidate := load(t, files{"p.rego": fmt.Sprintf(loops, 0)}, nil), load(t, files{"p.rego": fmt.Sprintf(loops, 2)}, nil)
	recs := decide(t, base, "p/allow", `{"n":1}`, `{"n":2}`, `{"n":3}`)
	slow := recs[0]
	slow.Input = json.RawMessage(`{"n":100000}`)
	recs = append(recs, slow)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, base := range []*engine.Generation{nil, base} {
		r, err := replay.Run(ctx, base, candidate, recs, replay.Options{Timeout: 50 * time.Millisecond})
		if err != nil || r.NotReplayable[replay.Timeout] != 1 || r.Replayed != 3 || r.Total() != 2 || r.Flips[review.AllowToDeny] != 2 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	c, err := replay.Cover(ctx, candidate, recs, replay.Options{Timeout: 50 * time.Millisecond})
	if err != nil || c.LeftOut[replay.Timeout] != 1 || c.Evaluated != 3 {
		t.Errorf("coverage: %+v, %v", c, err)
	}
}
