package records_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"defenseclaw/engine/review/records"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func never() bool { return false }

// numbered is a store of n records of one kind each, two of each moment.
func numbered(n int) *records.Store {
	s := records.NewStore(records.Bounds{}, nil)
	for i := range n {
		addNumbered(s, i)
	}
	return s
}

func addNumbered(s *records.Store, i int) {
	s.Add(records.Record{
		DecisionID: fmt.Sprintf("id%04d", i), Path: fmt.Sprintf("app/p%d", i%3), Result: fmt.Appendf(nil, "%d", i),
		Revision: fmt.Sprintf("sha256:%04d", i%2), Time: noon.Add(time.Duration(i/2) * time.Second),
	})
}

func idsOf(held []records.Held) (ids []string) {
	for _, h := range held {
		ids = append(ids, h.DecisionID)
	}
	return ids
}

func TestPagesHaveEachRecordOnceAlsoWhileOthersCome(t *testing.T) {
	s := numbered(101)
	var seen []string
	filter := records.Filter{}
	for {
		page := filter.Newest(s.Held(), 7, never)
		seen = append(seen, idsOf(page.Held)...)
		if page.Next == nil {
			break
		}
		next, err := records.ParsePosition(page.Next.String())
		if err != nil {
			t.Fatal(err)
		}
		filter.Before = next
		addNumbered(s, 1000+len(seen)) // newer than all
	}
	var want []string
	for i := 100; i >= 0; i-- {
		want = append(want, fmt.Sprintf("id%04d", i))
	}
	// Those of one moment are in the order of their identifiers.
	slices.SortStableFunc(want, func(a, b string) int {
		var x, y int
		_, _ = fmt.Sscanf(a, "id%d", &x)
		_, _ = fmt.Sscanf(b, "id%d", &y)
		return y/2 - x/2
	})
	slices.Sort(seen)
	slices.Sort(want)
	if !slices.Equal(seen, want) {
		t.Errorf("seen %v", seen)
	}
}

func TestTheNewestComesFirstAndAFilterLeavesOthersOut(t *testing.T) {
	s := numbered(12)
	for name, tc := range map[string]struct {
		filter records.Filter
		want   string
	}{
		"all":      {records.Filter{}, "id0010 id0011 id0008"},
		"path":     {records.Filter{Path: "app/p1"}, "id0010 id0007 id0004"},
		"parent":   {records.Filter{Path: "app"}, "id0010 id0011 id0008"},
		"no path":  {records.Filter{Path: "ap"}, ""},
		"revision": {records.Filter{Revision: "sha256:0001"}, "id0011 id0009 id0007"},
		"time":     {records.Filter{Before: records.Position{Time: noon.Add(2 * time.Second)}}, "id0004 id0005 id0002"},
		"text":     {records.Filter{Text: "ID000"}, "id0008 id0009 id0006"},
		"failed":   {records.Filter{Failed: records.Yes}, ""},
		"defined":  {records.Filter{Defined: records.Yes, Failed: records.No}, "id0010 id0011 id0008"},
		"also":     {records.Filter{Also: func(r *records.Record) bool { return string(r.Result) == "3" }}, "id0003"},
	} {
		page := tc.filter.Newest(s.Held(), 3, never)
		if got := strings.Join(idsOf(page.Held), " "); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestATextIsFoundAsJSONMayWriteIt(t *testing.T) {
	input := "{\"q\":\"say \\\"Hi\\\" \\u003cb\\u003e\",\"plain\":\"<i> \xc3\xa9\"}"
	for text, inputs := range map[string]bool{`say "hi" <B>`: true, `<i> é`: true, "not there": false, `\"hi`: true, "`": false, "\xff": false} {
		for _, may := range []bool{true, false} {
			s := records.NewStore(records.Bounds{}, nil)
			s.Add(records.Record{DecisionID: "x", Path: "p", Input: json.RawMessage(input), Time: noon})
			page := records.Filter{Text: text, Inputs: may}.Newest(s.Held(), 1, never)
			if found := len(page.Held) == 1; found != (inputs && may) {
				t.Errorf("%q with inputs %v: %v", text, may, found)
			}
		}
	}
}

// A search that takes too long ends with what it has, and goes on from there.
func TestASearchThatIsStoppedGoesOnWhereItWas(t *testing.T) {
	s := numbered(40)
	var found []string
	filter := records.Filter{Also: func(r *records.Record) bool { return r.Path == "app/p1" }}
	for rounds := 0; ; rounds++ {
		if rounds > 40 {
			t.Fatal("no end")
		}
		asked := 0
		page := filter.Newest(s.Held(), 5, func() bool { asked++; return asked > 3 })
		found = append(found, idsOf(page.Held)...)
		if page.Next == nil {
			break
		}
		filter.Before = *page.Next
	}
	if len(found) != 13 {
		t.Errorf("%d: %v", len(found), found)
	}
}

// What was handed out does not change with the store.
func TestWhatIsHeldStaysAsItWas(t *testing.T) {
	s := records.NewStore(records.Bounds{Records: 20}, nil)
	add := func(n int) {
		s.Add(records.Record{DecisionID: fmt.Sprint(n), Path: "p", Result: json.RawMessage("true"), Input: fmt.Appendf(nil, "%d", n), Time: noon})
	}
	for n := range 8 {
		add(n)
	}
	held := s.Held()
	before := map[*records.Record]string{}
	for _, h := range held {
		before[h.Record] = h.DecisionID + " " + string(h.Input)
	}
	for n := range 1000 {
		add(8 + n)
	}
	s.Update(func(r *records.Record) *records.Record {
		changed := *r
		changed.DecisionID, changed.Input = "changed", nil
		return &changed
	})
	for r, was := range before {
		if now := r.DecisionID + " " + string(r.Input); now != was {
			t.Errorf("%s became %s", was, now)
		}
	}
}

// FuzzText compares the search with a plain one.
func FuzzText(f *testing.F) {
	f.Add("a Zebra and a zebu", "ZEBU")
	f.Add("aab", "ab")
	f.Fuzz(func(t *testing.T, text, part string) {
		fold := func(s string) string {
			return string(bytes.Map(func(r rune) rune {
				if r >= 'A' && r <= 'Z' {
					return r + 'a' - 'A'
				}
				return r
			}, []byte(s)))
		}
		if strings.ContainsFunc(text+part, func(r rune) bool {
			return r == utf8.RuneError || r == '"' || r == '\\' || r < ' ' || r > '~' || r == '<' || r == '>' || r == '&'
		}) {
			return // where JSON's ways differ
		}
		s := records.NewStore(records.Bounds{}, nil)
		s.Add(records.Record{Path: "p", Error: text, Time: noon})
		page := records.Filter{Text: part}.Newest(s.Held(), 1, never)
		if found, want := len(page.Held) == 1, strings.Contains(fold(text), fold(part)) || strings.Contains("p", fold(part)); found != want {
			t.Errorf("%q in %q: %v", part, text, found)
		}
	})
}

func FuzzPosition(f *testing.F) {
	f.Add("2026-11-27T12:00:00.5Z~id")
	f.Add("2026-11-27T12:00:00+01:00")
	f.Add("~")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := records.ParsePosition(text)
		if err != nil {
			return
		}
		again, err := records.ParsePosition(p.String())
		if err != nil || !again.Time.Equal(p.Time) || again.ID != p.ID {
			t.Errorf("%q: %v, then %v: %v", text, p, again, err)
		}
	})
}

// BenchmarkPage is a page of 50 of a full store of 10,000 records: all, and one whose text no record has.
func BenchmarkPage(b *testing.B) {
	s := records.NewStore(records.Bounds{}, nil)
	for i := range 10_000 {
		s.Add(records.Record{
			DecisionID: fmt.Sprintf("0b5e9d3e-%d.1.0123456789ab", i), Path: fmt.Sprintf("app/p%d/allow", i%50), Result: fmt.Appendf(nil, `{"n":%d}`, i),
			Input: fmt.Appendf(nil, `{"user":"user %d","text":%q}`, i, strings.Repeat("some words ", 100)), Revision: "sha256:0123", Time: noon.Add(time.Duration(i*7919%10_000) * time.Second),
		})
	}
	if n, _, _ := s.Len(); n < 9_000 {
		b.Fatalf("%d records", n)
	}
	for name, filter := range map[string]records.Filter{"newest": {}, "path": {Path: "app/p7"}, "no such text": {Text: "zebra", Inputs: true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				filter.Newest(s.Held(), 50, never)
			}
		})
	}
}
