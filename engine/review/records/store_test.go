package records_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"defenseclaw/engine/review/records"
)

func record(path, result string, n int) records.Record {
	return records.Record{Path: path, Result: json.RawMessage(result), Input: fmt.Appendf(nil, `{"n":%d}`, n)}
}

func TestTheRareAnswerIsKept(t *testing.T) {
	s := records.NewStore(records.Bounds{Records: 100}, rand.New(rand.NewPCG(1, 1)))
	s.Add(record("a", "false", 0))
	for n := range 100_000 {
		s.Add(record("a", "true", n))
	}
	all := s.Snapshot()
	if all.Strata != 2 || len(all.Records) != 9 || all.Seen != 100_001 {
		t.Fatalf("%d strata, %d records, %d seen", all.Strata, len(all.Records), all.Seen)
	}
	if r := all.Records[0]; string(r.Result) != "false" || r.Weight != 1 {
		t.Errorf("the rare one has weight %v: %+v", r.Weight, r)
	}
	if r := all.Records[1]; string(r.Input) != `{"n":99999}` || r.Weight != 12_500 {
		t.Errorf("the newest of the others is %s with weight %v", r.Input, r.Weight)
	}
	if p := all.Paths["a"]; p.Records != 9 || p.Strata != 2 || p.Seen != 100_001 {
		t.Errorf("of the path: %+v", p)
	}
}

// TestEveryDecisionIsAsLikelyToBeKept counts how often each of ten parts of a stream is in the reservoir, when some records
// stand for many decisions.
func TestEveryDecisionIsAsLikelyToBeKept(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	const rounds, decisions = 2000, 1000
	var kept [10]float64
	for range rounds {
		s := records.NewStore(records.Bounds{}, random)
		for at := 0; at < decisions; {
			r := record("a", "true", at)
			r.Weight = float64(1 + at%3)
			s.Add(r)
			at += int(r.Weight)
		}
		for _, r := range s.Snapshot().Records[1:] { // without the newest
			var in struct{ N int }
			if err := json.Unmarshal(r.Input, &in); err != nil {
				t.Fatal(err)
			}
			kept[in.N*10/decisions]++
		}
	}
	for i, n := range kept {
		if want := rounds * 7 / 10.0; math.Abs(n-want) > 5*math.Sqrt(want) {
			t.Errorf("part %d was kept %v times; want about %v", i, n, want)
		}
	}
}

func TestAFloodStaysInBounds(t *testing.T) {
	bounds := records.Bounds{Records: 500, Bytes: 400_000}
	for name, flood := range map[string]func(n int) records.Record{
		"of paths":   func(n int) records.Record { return record(fmt.Sprintf("p%d", n), "true", n) },
		"of results": func(n int) records.Record { return record("p", fmt.Sprint(n), n) },
		"of shapes": func(n int) records.Record {
			r := record("p", "true", n)
			r.Shape = fmt.Sprint(n)
			return r
		},
		"of large inputs": func(n int) records.Record {
			r := record("p", fmt.Sprint(n%100), n)
			r.Input = json.RawMessage(`"` + strings.Repeat("x", 10_000) + `"`)
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := records.NewStore(bounds, rand.New(rand.NewPCG(3, 3)))
			for i := range 5 {
				for n := range 50 {
					s.Add(record(fmt.Sprintf("app/%d", i), "true", n))
				}
			}
			for n := range 20_000 {
				s.Add(flood(n))
				if count, _, bytes := s.Len(); count > bounds.Records || bytes > bounds.Bytes {
					t.Fatalf("after %d: %d records, %d bytes", n, count, bytes)
				}
			}
			all := s.Snapshot()
			count, strata, bytes := s.Len()
			sum := 0
			for i := range all.Records {
				sum += all.Records[i].Bytes()
			}
			if count != len(all.Records) || strata != all.Strata || bytes != sum {
				t.Errorf("counted %d records, %d bytes; there are %d, %d", count, bytes, len(all.Records), sum)
			}
			if count < bounds.Records/20 {
				t.Errorf("only %d records are left", count)
			}
			if name == "of paths" {
				return // each path is as good as any other
			}
			for i := range 5 {
				if all.Paths[fmt.Sprintf("app/%d", i)].Records == 0 {
					t.Errorf("app/%d was pushed out", i)
				}
			}
		})
	}
}

func TestARecordThatIsTooLargeIsNotKept(t *testing.T) {
	s := records.NewStore(records.Bounds{Bytes: 32_000}, nil)
	r := record("a", "true", 1)
	r.Input = json.RawMessage(`"` + strings.Repeat("x", 2000) + `"`)
	if s.Add(r) || !s.Add(record("a", "true", 1)) {
		t.Error("the bound of a record does not hold")
	}
}

func TestRecordsAreChangedAndForgotten(t *testing.T) {
	s := records.NewStore(records.Bounds{}, nil)
	for n := range 10 {
		s.Add(record("a", "true", n))
		s.Add(record("b", "true", n))
	}
	s.Update(func(r *records.Record) *records.Record {
		if r.Path != "a" {
			return nil
		}
		changed := *r
		changed.Input = nil
		return &changed
	})
	all := s.Snapshot()
	if count, strata, _ := s.Len(); count != 8 || strata != 1 || len(all.Records) != 8 || all.Records[0].Input != nil || all.Seen != 10 {
		t.Errorf("%d records in %d strata: %+v", count, strata, all)
	}
}

func TestAShapeIsOfNamesAndTypes(t *testing.T) {
	same := []string{`{"a":1,"b":["x","y"]}`, `{"b":["z"],"a":2.5}`}
	other := []string{
		`{"a":1,"b":["x",1]}`, `{"a":"1","b":["x"]}`, `{"a":1}`, `{"a":1,"b":["x"],"c":null}`, `{"a":1,"b":"x"}`, `null`, ``, `[]`, `{}`, `{"a":{"b":1}}`, `{"a":{"b":"1"}}`,
	}
	if records.ShapeOf(json.RawMessage(same[0])) != records.ShapeOf(json.RawMessage(same[1])) {
		t.Error("values are part of the shape")
	}
	seen := map[string]string{}
	for _, text := range append(other, same[0]) {
		shape := records.ShapeOf(json.RawMessage(text))
		if before, ok := seen[shape]; ok || shape == "" {
			t.Errorf("%s has the shape of %s: %q", text, before, shape)
		}
		seen[shape] = text
	}
	if got := records.ShapeOf(json.RawMessage(`{`)); got != "" {
		t.Errorf("what is no JSON has the shape %q", got)
	}
}
