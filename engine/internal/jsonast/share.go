package jsonast

import (
	"bytes"
	"slices"
	"sort"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reading is an object or array that is being read, beside the one that was in its place in the previous
// document.
type reading struct {
	start int // where its text begins
	first int // of parser.ends, whose rest are those of its members

	was   *members // nil where nothing can be taken over
	term  *ast.Term
	old   int // where the text of was begins in the previous document
	parts span
	guess int   // which of was is likely to be next
	runs  []run // that were taken, in both orders
	taken int   // members, in all runs

	members *members // what is kept of it; nil for nothing
}

// run is members that were taken over together.
type run struct {
	old, now int // which is the first of them, before and now
	n        int
}

// passed is how many of was were taken or gone past: the order is never turned round.
func (r *reading) passed() int {
	if len(r.runs) == 0 {
		return 0
	}
	last := r.runs[len(r.runs)-1]
	return last.old + last.n
}

// span is from one index to before another.
type span struct{ from, to int }

// beside begins the reading of an object or array at p.at.
func (p *parser) beside() reading {
	r := reading{start: p.at, first: len(p.ends)}
	if p.previous == nil || p.unpaired.empty() {
		return r
	}
	part := p.previous.parts[p.unpaired.next]
	if part.members == nil || p.text[p.at] != p.previous.text[part.start] {
		return r
	}
	r.was, r.term, r.old = part.members, part.term, part.start
	r.parts = span{p.unpaired.next + 1, part.after}
	return r
}

// share takes over the members that follow p.at in the previous document too, and reads the space behind
// them. An edit leaves those behind it where they were in the order, or as far from the end of the text;
// parts that were found lead to others.
func (p *parser) share(r *reading) {
	if r != nil && r.was != nil {
		p.shareMembers(r)
	}
	p.space()
}

func (p *parser) shareMembers(r *reading) {
	if p.follow(r, r.guess) {
		return
	}
	if !p.unpaired.empty() {
		start := p.previous.parts[p.unpaired.next].start - r.old
		if p.follow(r, sort.Search(len(r.was.ends), func(i int) bool { return r.was.ends[i] > start })) {
			return
		}
	}
	before := p.at - (len(p.text) - len(p.previous.text)) - r.old
	if i, ok := slices.BinarySearch(r.was.ends, before); ok {
		p.follow(r, i+1)
	}
}

// follow takes over members from the i-th on, as far as the texts are the same, and reports whether there
// was one.
func (p *parser) follow(r *reading, i int) bool {
	read := len(p.ends) - r.first
	if i < r.passed() || i >= len(r.was.ends) || (read == 0) != (i == 0) { // all but the first are behind a comma
		return false
	}
	from := r.old + 1
	if i > 0 {
		from = r.old + r.was.ends[i-1]
	}
	// What ends a number is the byte behind it, so that has to be the same too.
	same := from + p.common(from) - r.old
	to := i + sort.Search(len(r.was.ends)-i, func(k int) bool { return r.was.ends[i+k] >= same })
	if to == i {
		return false
	}
	end := r.old + r.was.ends[to-1]
	p.takeParts(r, from, end)
	moved := p.at - from - r.start + r.old
	p.ends = slices.Grow(p.ends, to-i)
	for _, e := range r.was.ends[i:to] {
		p.ends = append(p.ends, e+moved)
	}
	if r.was.pairs != nil {
		p.pairs = append(p.pairs, r.was.pairs[i:to]...)
	} else {
		p.elems = append(p.elems, r.was.elems[i:to]...)
	}
	p.at += end - from
	r.runs = append(r.runs, run{old: i, now: read, n: to - i})
	r.guess, r.taken = to, r.taken+to-i
	return true
}

// takeParts adopts the parts whose text lies between from and to in the previous document. What follows is
// likely to have those behind them.
func (p *parser) takeParts(r *reading, from, to int) {
	parts := p.previous.parts[r.parts.from:r.parts.to]
	first := sort.Search(len(parts), func(i int) bool { return parts[i].start >= from })
	behind := first + sort.Search(len(parts)-first, func(i int) bool { return parts[first+i].start >= to })
	p.document.adopt(p.previous, span{r.parts.from + first, r.parts.from + behind}, p.at-from)
	p.unpaired.next, p.unpaired.missed = r.parts.from+behind, false
}

// agreement is a stretch in which two texts are the same; behind it they differ, or one of them ends.
type agreement struct{ from, to, moved int }

// common is how many bytes from p.at on are the same as those from old on in the previous document.
func (p *parser) common(old int) int {
	if a := p.agreed; a.moved == p.at-old && a.from <= p.at && p.at <= a.to {
		return a.to - p.at
	}
	n := commonPrefix(p.text[p.at:], p.previous.text[old:])
	p.agreed = agreement{p.at, p.at + n, p.at - old}
	return n
}

func commonPrefix(a, b []byte) int {
	const block = 1 << 12
	n, most := 0, min(len(a), len(b))
	for n+block <= most && bytes.Equal(a[n:n+block], b[n:n+block]) {
		n += block
	}
	for n < most && a[n] == b[n] {
		n++
	}
	return n
}

// ended notes that a member was read that was not taken.
func (p *parser) ended(r *reading) {
	if r != nil {
		p.ends = append(p.ends, p.at-r.start)
		r.guess++
	}
}

// unchanged reports whether what was read is just what was there before.
func (p *parser) unchanged(r *reading) bool {
	return r != nil && r.was != nil && r.taken == len(r.was.ends) && r.taken == len(p.ends)-r.first
}

// unique reports whether it follows from what was there before that no two of pairs have the same key.
func (r *reading) unique(pairs [][2]*ast.Term) bool {
	if r == nil || r.was == nil || len(pairs)-r.taken+len(r.was.pairs)-r.taken > r.taken {
		return false // rather look at all of them
	}
	free := map[ast.Value]bool{} // the keys of members that are gone, and then whether they are still free
	from := 0
	for _, taken := range append(r.runs, run{old: len(r.was.pairs)}) {
		for _, pair := range r.was.pairs[from:taken.old] {
			free[pair[0].Value] = true
		}
		from = taken.old + taken.n
	}
	before, _ := r.term.Value.(ast.Object)
	from = 0
	for _, taken := range append(r.runs, run{now: len(pairs)}) {
		for _, pair := range pairs[from:taken.now] {
			isFree, known := free[pair[0].Value]
			if known && !isFree || !known && before.Get(pair[0]) != nil {
				return false
			}
			free[pair[0].Value] = false
		}
		from = taken.now + taken.n
	}
	return true
}
