package recorder

import (
	"math/rand/v2"
	"sync/atomic"
)

// tally counts decisions by path and result, and chooses which ones are taken. What it chooses stands for as many as it
// says: however callers ask, the weights of what is taken add up, on average, to what was asked.
//
// Its size is fixed. A kind that is not among its kinds takes the place of another. So that callers who make up paths, or a
// path whose results are never the same, do not fill the queue, new kinds of one path are thinned after the first 256, and
// new paths after the first 2,048, in the same way as decisions of one kind are.
type tally struct {
	kinds  [1 << 13]slot
	paths  [1 << 10]slot
	places [2]slot // new paths: those whose answer is undefined, as made-up ones are, and the others
	random func(n uint64) uint64
}

const (
	firstOfKind  = 8
	firstOfPath  = 256
	firstOfPaths = 2048
	maxBlock     = 1024
)

func newTally() *tally { return &tally{random: rand.Uint64N} }

// slot counts what has one key. Its fields are changed one by one: where two goroutines meet, a count may be off by one.
type slot struct {
	key   atomic.Uint64
	count atomic.Uint64
	next  atomic.Uint64 // the count at which one is taken
}

// count counts a decision, and returns how many it stands for; 0: it is not taken.
func (t *tally) count(path, kind uint64, defined bool) uint64 {
	s := &t.kinds[kind%uint64(len(t.kinds))]
	if s.key.Load() == kind {
		return t.take(s, firstOfKind)
	}
	weight := uint64(1)
	p := &t.paths[path%uint64(len(t.paths))]
	if p.key.Load() != path {
		places := &t.places[0]
		if defined {
			places = &t.places[1]
		}
		if weight = t.take(places, firstOfPaths); weight == 0 {
			return 0
		}
		p.claim(path)
	}
	n := t.take(p, firstOfPath)
	if n > 0 {
		s.claim(kind)
		t.take(s, firstOfKind) // the first of its kind
	}
	return weight * n
}

func (s *slot) claim(key uint64) {
	s.next.Store(0)
	s.count.Store(0)
	s.key.Store(key)
}

// take counts in a slot, and returns the length of the block that the count was chosen from; 0: it was not chosen. The first
// ones are blocks of their own.
func (t *tally) take(s *slot, first uint64) uint64 {
	n, next := s.count.Add(1), s.next.Load()
	if n < next {
		return 0
	}
	end, size := block(n, first)
	_, following := block(end+1, first)
	if !s.next.CompareAndSwap(next, end+1+t.random(following)) {
		return 0
	}
	return size
}

// block is the block of the nth: its last one, and its size. After the first ones, each block is as long as all that came
// before it, to 1,024.
func block(n, first uint64) (end, size uint64) {
	if n <= first {
		return n, 1
	}
	begin := first
	for size = first; size < maxBlock; size *= 2 {
		if n <= begin+size {
			return begin + size, size
		}
		begin += size
	}
	size = maxBlock
	return begin + (n-begin+size-1)/size*size, size
}
