package jsonast

import (
	"bytes"
	"slices"
	"sort"

	"github.com/open-policy-agent/opa/v1/ast"
)

// frame is a container that is being read, next to its counterpart: the part that had its place in
// the previous document. It exists only for containers that can become parts.
type frame struct {
	start    int // of its text
	firstEnd int // index in parser.ends of its first member's end

	// The counterpart. old is nil if there is none, or its members were not kept.
	old      *members
	oldTerm  *ast.Term
	oldStart int  // of the counterpart's text in the previous document
	oldParts span // parts of the previous document inside the counterpart

	next   int   // index in old of the member that is expected to follow
	runs   []run // of members that were reused, in order
	reused int   // members in all runs

	keep *members // for the next document; nil unless the text is large
}

// run is a stretch of n neighbouring members that were reused together.
type run struct {
	old, now int // index of the first of them in the counterpart, and in this container
	n        int
}

// minOld is the index after the last reused member. Members are reused in order only, so that one
// pass over both lists finds which of the old members are gone (provesUnique).
func (f *frame) minOld() int {
	if len(f.runs) == 0 {
		return 0
	}
	last := f.runs[len(f.runs)-1]
	return last.old + last.n
}

// newFrame begins the container at pos. Its counterpart is the next sibling, if that is of its kind.
func (p *parser) newFrame() frame {
	f := frame{start: p.pos, firstEnd: len(p.ends)}
	if p.previous == nil || p.candidates.empty() {
		return f
	}
	old := p.previous.parts[p.candidates.next]
	if old.members == nil || p.text[p.pos] != p.previous.text[old.start] {
		return f
	}
	f.old, f.oldTerm, f.oldStart = old.members, old.term, old.start
	f.oldParts = span{p.candidates.next + 1, old.after}
	return f
}

// reuseMembers takes members from the counterpart, if those at pos stand there too, and reads the
// space behind them. The caller reads the next member, or the end, itself.
func (p *parser) reuseMembers(f *frame) {
	if f != nil && f.old != nil {
		p.findMembers(f)
	}
	p.space()
}

// findMembers makes up to three guesses which of the old members comes next. The text confirms a guess
// or refutes it, mostly at its first bytes; a wrong one costs the reading of one member.
func (p *parser) findMembers(f *frame) {
	// In order: right unless members were added, removed or moved here.
	if p.reuseFrom(f, f.next) {
		return
	}
	// The one around the next candidate: right if reused or take found that by its text.
	if !p.candidates.empty() {
		start := p.previous.parts[p.candidates.next].start - f.oldStart
		if p.reuseFrom(f, sort.Search(len(f.old.ends), func(i int) bool { return f.old.ends[i] > start })) {
			return
		}
	}
	// As far from the end of the text as before: right behind the last of the edits.
	before := p.pos - (len(p.text) - len(p.previous.text)) - f.oldStart
	if i, ok := slices.BinarySearch(f.old.ends, before); ok {
		p.reuseFrom(f, i+1)
	}
}

// reuseFrom reuses old members from i on as far as the texts are the same, and reports whether there
// was one.
func (p *parser) reuseFrom(f *frame, i int) bool {
	index := len(p.ends) - f.firstEnd
	// The text of every member but the first begins with the comma before it, so a first one and a
	// later one cannot stand for each other.
	if i < f.minOld() || i >= len(f.old.ends) || (index == 0) != (i == 0) {
		return false
	}
	from := f.oldStart + 1
	if i > 0 {
		from = f.oldStart + f.old.ends[i-1]
	}
	// The byte behind a member has to be the same too: 1 is not the member that begins 12.
	same := from + commonPrefix(p.text[p.pos:], p.previous.text[from:]) - f.oldStart
	to := i + sort.Search(len(f.old.ends)-i, func(k int) bool { return f.old.ends[i+k] >= same })
	if to == i {
		return false
	}
	end := f.oldStart + f.old.ends[to-1]
	p.takeParts(f, from, end)
	shift := p.pos - from - f.start + f.oldStart
	p.ends = slices.Grow(p.ends, to-i)
	for _, e := range f.old.ends[i:to] {
		p.ends = append(p.ends, e+shift)
	}
	if f.old.pairs != nil {
		p.pairs = append(p.pairs, f.old.pairs[i:to]...)
	} else {
		p.elems = append(p.elems, f.old.elems[i:to]...)
	}
	p.pos += end - from
	f.runs = append(f.runs, run{old: i, now: index, n: to - i})
	f.next, f.reused = to, f.reused+to-i
	return true
}

// takeParts adopts the parts whose text lies between from and to in the previous document. The parts
// behind them are the best candidates for what follows.
func (p *parser) takeParts(f *frame, from, to int) {
	parts := p.previous.parts[f.oldParts.from:f.oldParts.to]
	first := sort.Search(len(parts), func(i int) bool { return parts[i].start >= from })
	behind := first + sort.Search(len(parts)-first, func(i int) bool { return parts[first+i].start >= to })
	p.document.adopt(p.previous, span{f.oldParts.from + first, f.oldParts.from + behind}, p.pos-from)
	p.candidates.next, p.candidates.missed = f.oldParts.from+behind, false
}

// noteMember records where a member that was read, not reused, ends.
func (p *parser) noteMember(f *frame) {
	if f != nil {
		p.ends = append(p.ends, p.pos-f.start)
		f.next++
	}
}

// commonPrefix compares blocks first, since bytes.Equal uses the processor's vector instructions: byte
// by byte, BenchmarkParse/Edit takes a fifth longer, though it mostly copies lists.
func commonPrefix(a, b []byte) int {
	const block = 1 << 12
	n, limit := 0, min(len(a), len(b))
	for n+block <= limit && bytes.Equal(a[n:n+block], b[n:n+block]) {
		n += block
	}
	for n < limit && a[n] == b[n] {
		n++
	}
	return n
}

// unchanged reports whether the container holds just the members of its counterpart.
func (p *parser) unchanged(f *frame) bool {
	return f != nil && f.old != nil && f.reused == len(f.old.ends) && f.reused == len(p.ends)-f.firstEnd
}

// provesUnique reports whether it follows from the counterpart that no two of pairs have the same key.
// Reused members cannot repeat each other's keys, so only those that were read have to be looked up:
// a key may come back if the member that had it is gone, and once. false proves nothing.
func (f *frame) provesUnique(pairs [][2]*ast.Term) bool {
	if f == nil || f.old == nil || len(pairs)-f.reused+len(f.old.pairs)-f.reused > f.reused {
		return false // after many changes, looking at all keys is cheaper
	}
	free := map[ast.Value]bool{} // the keys of the members that are gone, and whether each is still free
	from := 0
	for _, r := range append(f.runs, run{old: len(f.old.pairs)}) {
		for _, pair := range f.old.pairs[from:r.old] {
			free[pair[0].Value] = true
		}
		from = r.old + r.n
	}
	before, _ := f.oldTerm.Value.(ast.Object)
	from = 0
	for _, r := range append(f.runs, run{now: len(pairs)}) {
		for _, pair := range pairs[from:r.now] {
			isFree, gone := free[pair[0].Value]
			if gone && !isFree || !gone && before.Get(pair[0]) != nil {
				return false
			}
			free[pair[0].Value] = false
		}
		from = r.now + r.n
	}
	return true
}
