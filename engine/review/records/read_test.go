package records_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"defenseclaw/engine/review/records"
)

// scanned are the records of a log, and how many events were skipped by reason.
func scanned(t *testing.T, in io.Reader) (all []records.Record, skipped map[records.Reason]int) {
	t.Helper()
	skipped = map[records.Reason]int{}
	for r, err := range records.Scan(in) {
		var s *records.Skipped
		switch {
		case errors.As(err, &s):
			skipped[s.Reason]++
		case err != nil:
			t.Fatal(err)
		default:
			all = append(all, r)
		}
	}
	return all, skipped
}

// TestALogOfOPAIsRead reads what opa 1.22.2 wrote to its console, with the lines of its other log, and what it uploaded, plain and compressed.
func TestALogOfOPAIsRead(t *testing.T) {
	console, err := os.ReadFile(filepath.Join("testdata", "opa-1.22.2-console.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	all, skipped := scanned(t, bytes.NewReader(console))
	if len(all) != 10 || skipped[records.SkippedQuery] != 1 || skipped[records.SkippedOther] == 0 || len(skipped) != 2 {
		t.Fatalf("%d decisions; skipped %v", len(all), skipped)
	}
	first := all[0]
	want := records.Record{
		DecisionID: first.DecisionID, Path: "app/allow", Input: json.RawMessage(`{"method":"POST","user":"alice"}`), Result: json.RawMessage("true"),
		Revision: "r42", Time: first.Time, Shape: first.Shape,
	}
	if !reflect.DeepEqual(first, want) || first.DecisionID == "" || first.Time.IsZero() || first.Shape == "" {
		t.Errorf("the first is %+v", first)
	}
	byPath := map[string]records.Record{}
	for _, r := range all {
		byPath[r.Path] = r
	}
	if r := byPath["app/dice"]; string(r.NDBuiltins) != `{"rand.intn":{"[\"x\",6]":3}}` {
		t.Errorf("builtins of app/dice are %s", r.NDBuiltins)
	}
	if r := byPath["app/conflict"]; !strings.Contains(r.Error, "eval_conflict_error: rule data.app.conflict") || r.Result != nil {
		t.Errorf("app/conflict is %+v", r)
	}
	if r := byPath["app/missing"]; r.Input != nil || r.Result != nil || r.Error != "" {
		t.Errorf("app/missing is %+v", r)
	}
	if r := byPath["system/main"]; r.Error != "" || r.Result != nil {
		t.Errorf("an undefined document is no error: %+v", r)
	}
	if _, ok := byPath["app/a%20b"]; !ok {
		t.Error("a path is not as in the log")
	}
	if r, ok := byPath[""]; !ok || !strings.Contains(string(r.Result), `"app"`) {
		t.Errorf("data itself is %+v", r)
	}
	if r := all[2]; !r.Masked || string(r.Input) != `{"card":"****","user":"mallory"}` || all[0].Masked {
		t.Errorf("the masked one is %+v", r)
	}
	if !bytes.Contains(all[1].Input, []byte("12345678901234567890.5")) {
		t.Errorf("digits are lost: %s", all[1].Input)
	}

	upload, err := os.ReadFile(filepath.Join("testdata", "opa-1.22.2-upload.json"))
	if err != nil {
		t.Fatal(err)
	}
	plain, skipped := scanned(t, bytes.NewReader(upload))
	if len(plain) != 5 || len(skipped) != 0 {
		t.Fatalf("%d decisions in the upload; skipped %v", len(plain), skipped)
	}
	if r := plain[3]; !strings.HasPrefix(r.Error, "eval_conflict_error: rule data.app.conflict") {
		t.Errorf("the error is %q", r.Error)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(upload); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if unpacked, _ := scanned(t, &packed); !reflect.DeepEqual(plain, unpacked) {
		t.Error("compressed, it reads otherwise")
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	at := time.Date(2026, 11, 27, 1, 2, 3, 4567, time.UTC)
	all := []records.Record{
		{DecisionID: "1", Path: "a/b", Input: json.RawMessage(`{"x":"<&>","n":1e400}`), Result: json.RawMessage(`null`), Revision: "sha256:1", Time: at, Branch: "b1", Weight: 12.5},
		{DecisionID: "2", Path: "a%2Fb", Error: "eval_conflict_error: two values: 1, 2", Time: at, Strict: true, Masked: true},
		{DecisionID: "3", Path: "a/b", Input: json.RawMessage(`null`), Time: at, NDBuiltins: json.RawMessage(`{"rand.intn":{"[\"x\",6]":3}}`)},
		{Path: "c", Error: "something else", Time: at},
	}
	for i := range all {
		all[i].Shape = records.ShapeOf(all[i].Input)
	}
	var text bytes.Buffer
	if err := records.Write(&text, all); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(text.String(), "\n"); lines != len(all) {
		t.Errorf("%d lines for %d records", lines, len(all))
	}
	again, skipped := scanned(t, iotest.OneByteReader(&text))
	if !reflect.DeepEqual(all, again) || len(skipped) != 0 {
		t.Errorf("read again:\n%+v\nwant\n%+v\nskipped %v", again, all, skipped)
	}
}

func TestADamagedLineCostsOneDecision(t *testing.T) {
	const good = `{"decision_id":"1","path":"p","timestamp":"2026-11-27T01:02:03Z"}` + "\n"
	for _, bad := range []string{
		`{"decision_id":"2","path":"p` + "\n", `{"decision_id":"2","input":{"a":1` + "\n", "text\n", `{"decision_id":"2","path":7}` + "\n",
		`{"decision_id":"2"]` + "\n", "\x00\xff\n", `{"a":1}}` + "\n",
	} {
		all, skipped := scanned(t, strings.NewReader(good+bad+good))
		n := 0
		for _, count := range skipped {
			n += count
		}
		if len(all) != 2 || n == 0 {
			t.Errorf("%q: %d decisions; skipped %v", bad, len(all), skipped)
		}
	}
	if all, skipped := scanned(t, strings.NewReader(good+`{"decision_id":"2","pa`)); len(all) != 1 || skipped[records.SkippedInvalid] != 1 {
		t.Errorf("a log that ends early: %d decisions; skipped %v", len(all), skipped)
	}
	pretty := "[\n  {\n    \"decision_id\": \"1\",\n    \"input\": {\n      \"a\": 1\n    }\n  }\n]\n"
	if all, _ := scanned(t, strings.NewReader(pretty)); len(all) != 1 || string(all[0].Input) != `{"a":1}` {
		t.Errorf("indented: %+v", all)
	}
}

func TestAnEventHasABound(t *testing.T) {
	long := io.MultiReader(strings.NewReader(`{"decision_id":"1","input":"`), io.LimitReader(zeros{}, 17<<20), strings.NewReader("\"}\n{\"decision_id\":\"2\"}\n"))
	all, skipped := scanned(t, long)
	if len(all) != 1 || all[0].DecisionID != "2" || skipped[records.SkippedTooLong] != 1 {
		t.Errorf("%d decisions; skipped %v", len(all), skipped)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestAnErrorOfTheReaderEndsIt(t *testing.T) {
	broken := errors.New("the disk is gone")
	in := io.MultiReader(strings.NewReader(`{"decision_id":"1","path":"p"}`), iotest.ErrReader(broken))
	log, err := records.Read(in, records.Bounds{})
	if !errors.Is(err, broken) || log.Events != 1 || len(log.Records) != 1 {
		t.Errorf("%d decisions, %v", log.Events, err)
	}
}

func FuzzScan(f *testing.F) {
	for _, name := range []string{"opa-1.22.2-console.jsonl", "opa-1.22.2-upload.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"decision_id":"1","custom":{"seen":-1,"branch":7,"shape":[],"strict":"x"},"error":{"a":1},"bundles":{"a":{},"b":{"revision":"2"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var all []records.Record
		for r, err := range records.Scan(bytes.NewReader(text)) {
			if err != nil {
				continue
			}
			all = append(all, r)
		}
		var written bytes.Buffer
		if err := records.Write(&written, all); err != nil {
			t.Fatal(err)
		}
		again, skipped := scanned(t, &written)
		if len(again) != len(all) || len(skipped) != 0 {
			t.Fatalf("%d records are %d when read again; skipped %v", len(all), len(again), skipped)
		}
		for i := range all {
			if a, b := all[i].Stratum(), again[i].Stratum(); a != b {
				t.Errorf("stratum %q is %q when read again", a, b)
			}
		}
	})
}
