package record_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parse(t testing.TB, lines ...string) *record.Keys {
	t.Helper()
	keys, err := record.ParseKeys([]byte(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

var now = time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)

func sample() *record.Record {
	return &record.Record{
		V: record.Version, Channel: "prod", Epoch: record.NextEpoch(0, now), State: record.Active,
		Target: record.Release{Revision: "sha256:new", Files: 2, Bytes: 20, Chunks: 1},
		Base:   record.Release{Revision: "sha256:old", Files: 1, Bytes: 10, Chunks: 1},
		Cohort: record.Everybody(), Time: now, By: "somebody",
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	release, releaseLine := fleettest.Key(t, "release", record.RoleRelease)
	stage, stageLine := fleettest.Key(t, "stage", record.RoleStage)
	stranger, _ := fleettest.Key(t, "stranger", record.RoleRelease)
	imposter, _ := fleettest.Key(t, "release", record.RoleRelease)
	keys := parse(t, "# of the team\n\n", releaseLine, stageLine)

	released := func(r *record.Record) {
		for _, one := range []record.Release{r.Target, r.Base} {
			text, err := record.SealRelease("prod", one, now, release)
			if err != nil {
				t.Fatal(err)
			}
			r.Releases = append(r.Releases, text)
		}
	}
	for name, try := range map[string]struct {
		change func(*record.Record)
		by     []note.Signer
		alter  func([]byte) []byte
		is     error
	}{
		"by a release key":          {by: []note.Signer{release}},
		"by an old and a new key":   {by: []note.Signer{stranger, release}},
		"by a stage key, released":  {change: released, by: []note.Signer{stage}},
		"by a stage key alone":      {by: []note.Signer{stage}, is: record.ErrUnsigned},
		"by a stranger":             {by: []note.Signer{stranger}, is: record.ErrUnsigned},
		"by a key of the same name": {by: []note.Signer{imposter}, is: record.ErrUnsigned},
		"released for other files":  {change: func(r *record.Record) { released(r); r.Target.Bytes++ }, by: []note.Signer{stage}, is: record.ErrUnsigned},
		"of another channel":        {change: func(r *record.Record) { r.Channel = "test" }, by: []note.Signer{release}, is: record.ErrChannel},
		"of next week":              {change: func(r *record.Record) { r.Epoch += 7 * 86_400_000 }, by: []note.Signer{release}, is: record.ErrFuture},
		"expired":                   {change: func(r *record.Record) { r.Expires = now.Add(-1) }, by: []note.Signer{release}, is: record.ErrExpired},
		"of another version":        {change: func(r *record.Record) { r.V = 2 }, by: []note.Signer{release}, is: record.ErrFormat},
		"of no stage":               {change: func(r *record.Record) { r.Plan = &record.Plan{Stage: 1} }, by: []note.Signer{release}, is: record.ErrFormat},
		"of nobody's state":         {change: func(r *record.Record) { r.State = "x" }, by: []note.Signer{release}, is: record.ErrFormat},
		"that prepares out of nothing": {
			change: func(r *record.Record) { r.State, r.Base = record.Prepare, record.Release{} }, by: []note.Signer{release}, is: record.ErrFormat,
		},
		"altered":   {by: []note.Signer{release}, alter: func(b []byte) []byte { return []byte(strings.Replace(string(b), "somebody", "somebodx", 1)) }, is: record.ErrSignature},
		"cut off":   {by: []note.Signer{release}, alter: func(b []byte) []byte { return b[:40] }, is: record.ErrFormat},
		"empty":     {by: []note.Signer{release}, alter: func([]byte) []byte { return nil }, is: record.ErrFormat},
		"unsigned":  {by: []note.Signer{release}, alter: unsigned, is: record.ErrFormat},
		"too large": {by: []note.Signer{release}, alter: func(b []byte) []byte { b[0] = 255; return b }, is: record.ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sample()
			if try.change != nil {
				try.change(r)
			}
			message, err := record.Seal(r, []byte("the delta"), try.by...)
			if err != nil {
				t.Fatal(err)
			}
			if try.alter != nil {
				message = try.alter(message)
			}
			opened, err := record.Open(message, "prod", keys, now)
			if !errors.Is(err, try.is) {
				t.Fatalf("it gives %v, and %v was expected", err, try.is)
			}
			if err == nil && (string(opened.Delta) != "the delta" || len(opened.By) != 1) {
				t.Errorf("it gives %q by %v", opened.Delta, opened.By)
			}
		})
	}
}

// unsigned takes the signatures away, and keeps the form.
func unsigned(message []byte) []byte {
	text, _, _ := strings.Cut(string(message[4:]), "\n\n")
	text += "\n\n"
	return append([]byte{0, 0, byte(len(text) >> 8), byte(len(text))}, text...)
}

func TestCohorts(t *testing.T) {
	t.Parallel()
	const agents = 10_000
	var last map[int]bool
	for _, percent := range []float64{0, 0.1, 1, 10, 50, 100} {
		in := map[int]bool{}
		for i := range agents {
			if (record.Cohort{Percent: percent, Salt: "s"}).Holds(fmt.Sprint("agent-", i), nil) {
				in[i] = true
			}
		}
		for i := range last {
			if !in[i] {
				t.Fatalf("agent %d left the cohort at %v percent", i, percent)
			}
		}
		if share := 100 * float64(len(in)) / agents; share < percent*0.5 || share > percent*1.5 {
			t.Errorf("%v percent of the agents are %v percent", percent, share)
		}
		last = in
	}
	r := sample()
	r.Cohort.Labels = map[string]string{"ring": "canary"}
	for _, try := range []struct {
		labels map[string]string
		state  record.State
		want   string
	}{
		{map[string]string{"ring": "canary", "zone": "a"}, record.Active, "sha256:new"},
		{map[string]string{"ring": "canary"}, record.Prepare, "sha256:old"},
		{map[string]string{"ring": "all"}, record.Active, "sha256:old"},
		{nil, record.Active, "sha256:old"},
	} {
		r.State = try.state
		if got := r.Wanted("a", try.labels).Revision; got != try.want {
			t.Errorf("%v with %v is to serve %s, and %s was expected", try.labels, try.state, got, try.want)
		}
	}
	r.Base = record.Release{}
	if got := r.Wanted("a", nil).Revision; got != "sha256:new" {
		t.Errorf("without a base, %s is to serve", got)
	}
}

func TestAStageKeepsTheAgentsOfEarlierOnes(t *testing.T) {
	t.Parallel()
	canary := record.Cohort{Percent: 100, Labels: map[string]string{"ring": "canary"}}
	tenth := record.Cohort{Percent: 10, Salt: "s", Also: []record.Cohort{canary}}
	others := 0
	for i := range 1000 {
		name := fmt.Sprint("agent-", i)
		if !tenth.Holds(name, canary.Labels) {
			t.Fatalf("%s left the cohort", name)
		}
		if tenth.Holds(name, nil) {
			others++
		}
	}
	if others < 50 || others > 150 {
		t.Errorf("%d of 1000 others are in", others)
	}
}

func TestSettledAndWatched(t *testing.T) {
	t.Parallel()
	plan := func(stage int, halted string) *record.Plan {
		return &record.Plan{Stages: make([]record.Stage, 2), Stage: stage, Halted: halted}
	}
	for name, try := range map[string]struct {
		change  func(*record.Record)
		settled string
		watched bool
	}{
		"for everybody, at once":     {func(*record.Record) {}, "new", false},
		"the last stage of a plan":   {func(r *record.Record) { r.Plan = plan(1, "") }, "old", true},
		"a plan that has ended":      {func(r *record.Record) { r.Plan = plan(2, "") }, "new", false},
		"a plan that was taken back": {func(r *record.Record) { r.Plan, r.Cohort.Percent = plan(0, "bad"), 0 }, "old", false},
		"a plan that prepares":       {func(r *record.Record) { r.Plan, r.State, r.Cohort.Percent = plan(0, ""), record.Prepare, 0 }, "old", true},
		"of some, at once":           {func(r *record.Record) { r.Cohort.Labels = map[string]string{"ring": "canary"} }, "old", false},
		"without a base":             {func(r *record.Record) { r.Base, r.Cohort.Percent = record.Release{}, 1 }, "new", false},
	} {
		r := sample()
		try.change(r)
		if got := r.Settled().Revision; got != "sha256:"+try.settled {
			t.Errorf("%s: %s is settled", name, got)
		}
		if got := r.Watched("a", nil); got != try.watched {
			t.Errorf("%s: watched is %v", name, got)
		}
	}
}

func TestParseKeysSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, line := fleettest.Key(t, "one", record.RoleRelease)
	for text, want := range map[string]string{
		"":                           "no key",
		"# nothing":                  "no key",
		"release":                    "line 1 has 1 words",
		"\nboss x+00000000+AQ==":     "line 2: the role",
		"release nonsense":           "line 1: malformed",
		line + "stage " + line[8:]:   "two roles",
		"release a+b+c d":            "3 words",
		strings.Repeat("x", 100_000): "token too long",
	} {
		if _, err := record.ParseKeys([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q gives %v, and %q was expected", text, err, want)
		}
	}
}

func TestEpochsGoUp(t *testing.T) {
	t.Parallel()
	if got := record.NextEpoch(5, time.Unix(0, 0)); got != 6 {
		t.Errorf("after a clock that was set back: %d", got)
	}
	if got := record.NextEpoch(5, now); got != uint64(now.UnixMilli()) {
		t.Errorf("after a store that lost records: %d", got)
	}
}

func FuzzOpen(f *testing.F) {
	release, line := fleettest.Key(f, "release", record.RoleRelease)
	keys := parse(f, line)
	message, err := record.Seal(sample(), []byte("delta"), release)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	f.Fuzz(func(t *testing.T, other []byte) {
		o, err := record.Open(other, "prod", keys, now)
		if err == nil && (o.Target.Revision != "sha256:new" || o.By[0].Name != "release") {
			t.Errorf("somebody else's record was opened: %+v", o)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add("release a+b+c\n")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := record.ParseKeys([]byte(text))
		if err == nil && len(keys.Names()) == 0 {
			t.Error("no key, and no error")
		}
	})
}
