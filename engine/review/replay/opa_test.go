package replay_test

import (
	"bytes"
	"maps"
	"os"
	"strings"
	"testing"

	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"
)

// TestALogThatOPAWroteIsReplayed uses the console of opa 1.22.2 with nd_builtin_cache, a mask policy and testdata/gate.rego.
func TestALogThatOPAWroteIsReplayed(t *testing.T) {
	text, err := os.ReadFile("testdata/opa-1.22.2.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	log, err := records.Read(bytes.NewReader(text), records.Bounds{})
	if err != nil || log.Events != 19 {
		t.Fatalf("%d events, %v", log.Events, err)
	}
	policy, err := os.ReadFile("testdata/gate.rego")
	if err != nil {
		t.Fatal(err)
	}
	f := files{"gate.rego": string(policy)}
	base := load(t, f, nil)
	candidate := load(t, f.with(edit2("gate.rego", f["gate.rego"], `limit := 100`, `limit := 50`)), base)

	r := run(t, base, candidate, log.Records, replay.Options{})
	paths := map[string]int{}
	for _, g := range r.Groups {
		paths[g.Path] += g.Count
		if want := (review.Cause{Rule: "data.gate.limit", File: "gate.rego", Row: 12}); g.Cause != want || g.Kind != review.AllowToDeny {
			t.Errorf("got %+v, want %+v", g, want)
		}
	}
	if want := map[string]int{"gate/allow": 2, "gate/ticket": 1, "gate": 1}; !maps.Equal(paths, want) || r.Flips[review.AllowToDeny] != 4 {
		t.Errorf("flips %v of %v, want %v", r.Flips, paths, want)
	}
	if want := map[string]int{replay.Masked: 1}; !maps.Equal(r.NotReplayable, want) {
		t.Errorf("not replayable are %v, want %v", r.NotReplayable, want)
	}

	// Each decision of OPA is the same here, with what chance and the clock gave OPA, but for the one whose input was masked.
	r = run(t, nil, base, log.Records, replay.Options{})
	if r.Total() != 0 || r.Replayed != r.Records-1 || r.NotReplayable[replay.Masked] != 1 {
		t.Errorf("%+v", r)
	}

	// Without the base, the recorded answers speak for it.
	r = run(t, nil, candidate, log.Records, replay.Options{})
	if r.Flips[review.AllowToDeny] != 4 || len(r.Groups) != 3 || !strings.HasPrefix(r.Groups[0].Cause.Rule, "data.gate.") {
		t.Errorf("%+v", r)
	}
}
