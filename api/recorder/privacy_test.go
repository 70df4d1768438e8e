package recorder_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/api/recorder"
	"defenseclaw/engine"
)

const marked = "s3cret-mark-4711"

// unpacked is what a file of records holds.
func unpacked(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestSecretsAndWhatIsMaskedAreNotKept(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy, "m.rego": `package system.log

mask contains "/input/card"

mask contains {"op": "upsert", "path": "/result/card", "value": "****"} if input.result.card

drop if input.input.private
`, "r.rego": `package system.record

drop if startswith(input.path, "app/quiet")
`, "q.rego": `package app

quiet := input.card

out := {"card": input.card}

minted := uuid.rfc4122(input.card)
`})
	cfg := config(func() *engine.Generation { return g })
	cfg.Dir = t.TempDir()
	r := run(t, cfg)
	r.decide(g, "app/allow", `{"user":"alice","card":"`+marked+`"}`)
	r.decide(g, "app/out", `{"card":"`+marked+`"}`)
	r.decide(g, "app/allow", `{"user":"alice","authorization":"Bearer `+marked+`"}`)
	r.decide(g, "app/allow", `{"user":"alice","private":true,"x":"`+marked+`"}`)
	r.decide(g, "app/quiet", `{"card":"`+marked+`"}`)
	r.decide(g, "app/minted", `{"card":"`+marked+`"}`)
	r.decide(g, "app/allow", `{"user":"alice"}`)
	all := r.snapshot()
	masked := 0
	for _, rec := range all.Records {
		if rec.Masked {
			masked++
		}
	}
	if len(all.Records) != 5 || masked != 4 || r.Health().Dropped[recorder.DroppedPolicy] != 2 {
		t.Errorf("%d records, %d masked; dropped %v", len(all.Records), masked, r.Health().Dropped)
	}
	if out := byPath(all)["app/out"]; len(out) != 1 || string(out[0].Result) != `{"card":"****"}` || string(out[0].Input) != `{}` {
		t.Errorf("the masked one is %+v", out)
	}
	r.stop()
	text := unpacked(t, fileIn(cfg.Dir))
	if strings.Contains(text, marked) || strings.Count(text, "\n") != 5 {
		t.Errorf("the file holds %s", text)
	}
}

func TestAPolicyThatMasksMoreHoldsForWhatIsRecorded(t *testing.T) {
	now := load(t, map[string]string{"p.rego": policy})
	r := run(t, config(func() *engine.Generation { return now }))
	for range 3 {
		r.decide(now, "app/allow", `{"user":"alice","mail":"`+marked+`"}`)
	}
	if all := r.snapshot(); len(all.Records) != 3 || !strings.Contains(string(all.Records[0].Input), marked) {
		t.Fatalf("recorded: %+v", all.Records)
	}
	before := now
	now = load(t, map[string]string{"p.rego": policy, "m.rego": "package system.log\n\nmask contains \"/input/mail\""})
	r.decide(before, "app/allow", `{"user":"alice","mail":"`+marked+`"}`) // that began before
	all := r.snapshot()
	for _, rec := range all.Records {
		if strings.Contains(string(rec.Input), marked) || !rec.Masked || string(rec.Result) != "true" {
			t.Errorf("recorded: %+v", rec)
		}
	}
	if len(all.Records) != 4 {
		t.Errorf("%d records", len(all.Records))
	}
	now = load(t, map[string]string{"p.rego": policy, "m.rego": "package system.record\n\ndrop := true"})
	if all := r.snapshot(); len(all.Records) != 0 {
		t.Errorf("recorded although the policy wants none: %+v", all.Records)
	}
}

func TestAMaskThatFailsKeepsTheDecisionFromBeingRecorded(t *testing.T) {
	g := load(t, map[string]string{"p.rego": policy, "m.rego": "package system.log\n\nmask := 7"})
	r := run(t, config(nil))
	r.decide(g, "app/allow", `{"user":"alice"}`)
	if all := r.snapshot(); len(all.Records) != 0 || r.Health().Dropped[recorder.DroppedMask] != 1 {
		t.Errorf("recorded: %+v; dropped %v", all.Records, r.Health().Dropped)
	}
}

func TestNothingIsWrittenWithoutADirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	g := load(t, map[string]string{"p.rego": policy})
	r := run(t, config(nil))
	r.decide(g, "app/allow", `{"user":"`+marked+`"}`)
	r.snapshot()
	r.stop()
	if found, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(found) != 0 {
		t.Errorf("files: %v, %v", found, err)
	}
}
