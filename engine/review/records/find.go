package records

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Filter chooses among records. Zero fields leave none out.
type Filter struct {
	Before   Position // only what comes after it: older decisions
	Path     string   // this document and those below it, as in [Record].Path
	Revision string   // how the revision begins
	Defined  Presence
	Failed   Presence
	// Text is somewhere in the path, the result, the error or the identifier, and with Inputs in the input. ASCII letters
	// may be of either case. In JSON, a character may be written as itself or as JSON escapes it.
	Text   string
	Inputs bool
	// Also is asked last of those that would be in the answer: it may take its time. Nil: true.
	Also func(*Record) bool
}

// Presence says whether something has to be there.
type Presence int

// The values of a [Presence].
const (
	Any Presence = iota
	Yes
	No
)

func (p Presence) fits(is bool) bool { return p == Any || (p == Yes) == is }

// Position is a place in the order of records by time, the newest first, those of one moment by identifier. The zero value
// is before all of them.
type Position struct {
	Time time.Time
	ID   string
}

// PositionOf is the place of a record.
func PositionOf(r *Record) Position { return Position{r.Time, r.DecisionID} }

// String is a text that [ParsePosition] reads.
func (p Position) String() string { return p.Time.UTC().Format(time.RFC3339Nano) + "~" + p.ID }

// ParsePosition reads a place, or a time, which is the place before the newest record of that moment.
func ParsePosition(text string) (Position, error) {
	moment, id, _ := strings.Cut(text, "~")
	t, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		return Position{}, fmt.Errorf("%q is no place among the records: expected a time such as 2026-11-23T09:30:00Z, or the next of an answer", text[:min(len(text), 100)])
	}
	return Position{t, id}, nil
}

// comesBefore reports whether a record at p is listed before one at q.
func (p Position) comesBefore(q Position) bool {
	return cmp.Or(q.Time.Compare(p.Time), cmp.Compare(p.ID, q.ID)) < 0
}

// Page is a part of the records that a [Filter] chooses.
type Page struct {
	Held []Held    // the newest first
	Next *Position // the Before of the next page; nil: there is none
}

// Newest is the page of the limit newest of all that the filter chooses. It looks until enough is found, or stop, which is
// asked before each record, says that it took long enough; then Next goes on from there. It reorders all.
func (f Filter) Newest(all []Held, limit int, stop func() bool) (page Page) {
	matches := f.cheap()
	chosen := all[:0]
	for _, h := range all {
		if matches(h.Record) {
			chosen = append(chosen, h)
		}
	}
	waiting := byTime(chosen)
	heap.Init(&waiting)
	text := newNeedle(f.Text)
	var last *Record
	for len(waiting) > 0 {
		if len(page.Held) == limit || last != nil && stop() {
			at := PositionOf(last)
			page.Next = &at
			return page
		}
		h, _ := heap.Pop(&waiting).(Held) // it holds nothing else
		last = h.Record
		if (f.Text == "" || f.holds(h.Record, text)) && (f.Also == nil || f.Also(h.Record)) {
			page.Held = append(page.Held, h)
		}
	}
	return page
}

// cheap is the part of the filter that looks at no text.
func (f Filter) cheap() func(*Record) bool {
	below := f.Path + "/"
	return func(r *Record) bool {
		return (f.Before.Time.IsZero() || f.Before.comesBefore(PositionOf(r))) &&
			(f.Path == "" || r.Path == f.Path || strings.HasPrefix(r.Path, below)) &&
			strings.HasPrefix(r.Revision, f.Revision) &&
			f.Failed.fits(r.Error != "") && f.Defined.fits(r.Result != nil)
	}
}

func (f Filter) holds(r *Record, text needle) bool {
	return text.in([]byte(r.Path)) || text.in(r.Result) || text.in([]byte(r.Error)) || text.in([]byte(r.DecisionID)) || f.Inputs && text.in(r.Input)
}

// needle is a text that is looked for, in each way in which JSON may have it.
type needle []way

// way is a text without capital ASCII letters. The place of its rarest byte is where a search begins.
type way struct {
	text   []byte
	rarest int
}

// common are bytes of JSON texts, the most frequent first.
const common = " \"etaoinsr,:{}hldcumfpgwybv[]0123456789kxjqz"

func wayOf(text []byte) way {
	w := way{text: text}
	rank := func(c byte) int { // -1 becomes the last one
		return (strings.IndexByte(common, c) + len(common) + 1) % (len(common) + 1)
	}
	for i, c := range text {
		if rank(c) > rank(text[w.rarest]) {
			w.rarest = i
		}
	}
	return w
}

func newNeedle(text string) (n needle) {
	add := func(text []byte) {
		for i, c := range text {
			text[i] = lower(c)
		}
		if !slices.ContainsFunc(n, func(w way) bool { return bytes.Equal(w.text, text) }) {
			n = append(n, wayOf(text))
		}
	}
	add([]byte(text))
	for _, html := range []bool{false, true} {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(html)
		if encoder.Encode(text) == nil {
			quoted := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
			add(bytes.Clone(quoted[1 : len(quoted)-1]))
		}
	}
	return n
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

func (n needle) in(text []byte) bool {
	return slices.ContainsFunc(n, func(w way) bool { return w.in(text) })
}

func (w way) in(text []byte) bool {
	if len(w.text) == 0 {
		return true
	}
	if len(w.text) > len(text) {
		return false
	}
	rare := w.text[w.rarest]
	if rare >= 'a' && rare <= 'z' {
		return w.inAt(text, rare) || w.inAt(text, rare-('a'-'A'))
	}
	return w.inAt(text, rare)
}

// inAt is in where the rarest byte is c.
func (w way) inAt(text []byte, c byte) bool {
	last := len(text) - len(w.text) + w.rarest // the last place at which it may be
	for at := w.rarest; at <= last; at++ {
		next := bytes.IndexByte(text[at:last+1], c)
		if next < 0 {
			return false
		}
		at += next
		if w.begins(text[at-w.rarest:]) {
			return true
		}
	}
	return false
}

func (w way) begins(text []byte) bool {
	for i, c := range w.text {
		if lower(text[i]) != c {
			return false
		}
	}
	return true
}

// byTime is a heap with the newest record on top.
type byTime []Held

func (h byTime) Len() int { return len(h) }
func (h byTime) Less(i, j int) bool {
	return PositionOf(h[i].Record).comesBefore(PositionOf(h[j].Record))
}
func (h byTime) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *byTime) Push(x any) {
	held, _ := x.(Held) // it holds nothing else
	*h = append(*h, held)
}

// Pop implements [heap.Interface].
func (h *byTime) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
