package records

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Bounds limit what a [Store] holds. Zero fields mean the defaults given.
type Bounds struct {
	Records int // default 10,000
	Bytes   int // of records, as [Record.Bytes] counts them; default 16 MiB
}

// The default [Bounds].
const (
	DefaultRecords = 10_000
	DefaultBytes   = 16 << 20
)

// Store keeps few records that stand for many: of each stratum the newest, and up to seven of the others with the same
// chance for each. How many each stratum had is counted, so that a record knows its weight. Where the bounds are reached,
// the largest strata give way first; one record of each stays as long as the bounds allow, and beyond that the path with
// the most strata loses its oldest. Not safe for concurrent use.
type Store struct {
	bounds  Bounds
	random  *rand.Rand // nil: the global one
	strata  map[string]*stratum
	records int
	bytes   int
	clock   uint64 // counts the records that came
}

// stratum is what is kept of one kind of decision. The newest is the last of its records.
type stratum struct {
	path    string
	records []*Record // replaced, never changed: they are handed out
	bytes   int
	seen    float64 // decisions
	others  float64 // decisions without the newest's
	latest  uint64  // of the store's clock
}

// perStratum is how many records of a stratum are kept.
const perStratum = 8

// NewStore makes a store. random chooses what is kept; nil: by chance.
func NewStore(bounds Bounds, random *rand.Rand) *Store {
	bounds.Records, bounds.Bytes = cmp.Or(bounds.Records, DefaultRecords), cmp.Or(bounds.Bytes, DefaultBytes)
	return &Store{bounds: bounds, random: random, strata: map[string]*stratum{}}
}

// MaxRecordBytes is the size of the largest record that a store takes: one must not push out hundreds.
func (b Bounds) MaxRecordBytes() int { return cmp.Or(b.Bytes, DefaultBytes) / 32 }

// Add counts a record, which stands for r.Weight decisions, and keeps it unless it is too large: then it reports false.
func (s *Store) Add(r Record) bool {
	if r.Bytes() > s.bounds.MaxRecordBytes() {
		return false
	}
	s.clock++
	name := r.Stratum()
	st := s.strata[name]
	if st == nil {
		st = &stratum{path: r.Path}
		s.strata[name] = st
	}
	st.latest = s.clock
	st.seen += r.weight()
	if st.records == nil {
		s.put(st, &r)
	} else {
		s.replaceNewest(st, &r)
	}
	if s.records > s.bounds.Records || s.bytes > s.bounds.Bytes {
		s.shrink()
	}
	return true
}

func (s *Store) put(st *stratum, r *Record) {
	st.records = append(st.records, r)
	s.account(st, 1, r.Bytes())
}

func (s *Store) account(st *stratum, records, bytes int) {
	st.bytes, s.bytes, s.records = st.bytes+bytes, s.bytes+bytes, s.records+records
}

// replaceNewest makes r the newest, and has the one before it compete with the others: of weight w in W, it takes the place
// of one of k with a chance of k times w/W, which makes every decision as likely.
func (s *Store) replaceNewest(st *stratum, r *Record) {
	last := len(st.records) - 1
	before := st.records[last]
	st.others += before.weight()
	switch {
	case len(st.records) < perStratum:
		s.put(st, r)
		return
	case s.float()*st.others < float64(last)*before.weight():
		lost := s.below(last)
		s.account(st, 0, -st.records[lost].Bytes())
		st.records[lost] = before
	default:
		s.account(st, 0, -before.Bytes())
	}
	st.records[last] = r
	s.account(st, 0, r.Bytes())
}

// shrink makes room for more than the next record, so that it is not needed at each.
func (s *Store) shrink() {
	records, bytes := s.bounds.Records-s.bounds.Records/20, s.bounds.Bytes-s.bounds.Bytes/20
	fits := func() bool { return s.records <= records && s.bytes <= bytes }
	share := func(st *stratum) float64 {
		return float64(len(st.records))/float64(s.bounds.Records) + float64(st.bytes)/float64(s.bounds.Bytes)
	}
	large := slices.Collect(maps.Values(s.strata))
	for !fits() {
		large = slices.DeleteFunc(large, func(st *stratum) bool { return len(st.records) < 2 })
		if len(large) == 0 {
			break
		}
		slices.SortFunc(large, func(a, b *stratum) int {
			return cmp.Or(cmp.Compare(share(b), share(a)), cmp.Compare(a.latest, b.latest))
		})
		for _, st := range large[:(len(large)+1)/2] {
			if fits() {
				return
			}
			lost := s.below(len(st.records) - 1)
			s.account(st, -1, -st.records[lost].Bytes())
			st.records = slices.Delete(st.records, lost, lost+1)
		}
	}
	s.forget(fits)
}

// forget gives up strata until what is left fits: the oldest of the paths that have the most.
func (s *Store) forget(fits func() bool) {
	byPath := map[string][]string{}
	for name, st := range s.strata {
		byPath[st.path] = append(byPath[st.path], name)
	}
	for _, all := range byPath { // the oldest last
		slices.SortFunc(all, func(a, b string) int { return cmp.Compare(s.strata[b].latest, s.strata[a].latest) })
	}
	oldest := func(path string) uint64 { all := byPath[path]; return s.strata[all[len(all)-1]].latest }
	for !fits() && len(byPath) > 0 {
		paths := slices.Collect(maps.Keys(byPath))
		slices.SortFunc(paths, func(a, b string) int {
			return cmp.Or(cmp.Compare(len(byPath[b]), len(byPath[a])), cmp.Compare(oldest(a), oldest(b)))
		})
		most := len(byPath[paths[0]])
		for _, path := range paths {
			all := byPath[path]
			if fits() || len(all) < most {
				break
			}
			name := all[len(all)-1]
			st := s.strata[name]
			s.account(st, -len(st.records), -st.bytes)
			delete(s.strata, name)
			if byPath[path] = all[:len(all)-1]; len(byPath[path]) == 0 {
				delete(byPath, path)
			}
		}
	}
}

func (s *Store) float() float64 {
	if s.random != nil {
		return s.random.Float64()
	}
	return rand.Float64()
}

func (s *Store) below(n int) int {
	if s.random != nil {
		return s.random.IntN(n)
	}
	return rand.IntN(n)
}

// Snapshot is what a [Store] holds at one moment.
type Snapshot struct {
	// Records are one of each stratum, its newest, then a second of each, and so on: a part from the beginning stands for
	// more than its number says. Each has the weight that all of its stratum stand for, divided by those that are kept.
	Records []Record
	Strata  int
	Seen    uint64 // decisions that the records stand for
	Bytes   int
	Paths   map[string]PathCount
}

// PathCount counts what is held of a path.
type PathCount struct {
	Records, Strata int
	Seen            uint64
}

// Counts is [Store.Snapshot] without the records.
func (s *Store) Counts() Snapshot {
	all := Snapshot{Strata: len(s.strata), Bytes: s.bytes, Paths: map[string]PathCount{}}
	seen := map[string]float64{}
	total := 0.0
	for _, st := range s.strata {
		p := all.Paths[st.path]
		p.Records, p.Strata = p.Records+len(st.records), p.Strata+1
		all.Paths[st.path] = p
		seen[st.path] += st.seen
		total += st.seen
	}
	for path, n := range seen {
		p := all.Paths[path]
		p.Seen = uint64(n)
		all.Paths[path] = p
	}
	all.Seen = uint64(total)
	return all
}

// Snapshot copies what the store holds. The texts of the records are shared, and must not be changed.
func (s *Store) Snapshot() Snapshot {
	all := s.Counts()
	all.Records = make([]Record, 0, s.records)
	strata := make([]*stratum, 0, len(s.strata))
	for _, name := range slices.SortedFunc(maps.Keys(s.strata), strings.Compare) {
		strata = append(strata, s.strata[name])
	}
	for round := range perStratum {
		for _, st := range strata {
			at := len(st.records) - 1 - round
			if at < 0 {
				continue
			}
			r := *st.records[at]
			r.Weight = st.weightOfEach()
			all.Records = append(all.Records, r)
		}
	}
	return all
}

// weightOfEach is how many decisions each of the records stands for.
func (st *stratum) weightOfEach() float64 { return st.seen / float64(len(st.records)) }

// Held is one of the records of a [Store], which must not be changed, and the number of decisions it stands for.
type Held struct {
	*Record
	Seen float64
}

// Held is all that the store holds, in no order. It copies no record, and holds afterwards what it holds now.
func (s *Store) Held() []Held {
	all := make([]Held, 0, s.records)
	for _, st := range s.strata {
		for _, r := range st.records {
			all = append(all, Held{r, st.weightOfEach()})
		}
	}
	return all
}

// Len is the number of records, and of their strata, and their size.
func (s *Store) Len() (records, strata, bytes int) { return s.records, len(s.strata), s.bytes }

// Update replaces each record by what change makes of it, and forgets those of which it makes nil. Path and result decide about
// a record's stratum no more: it stays where it is. change must not change the record itself, which may be handed out.
func (s *Store) Update(change func(*Record) *Record) {
	for name, st := range s.strata {
		kept := st.records[:0]
		s.account(st, -len(st.records), -st.bytes)
		for _, r := range st.records {
			if changed := change(r); changed != nil {
				kept = append(kept, changed)
				s.account(st, 1, changed.Bytes())
			}
		}
		clear(st.records[len(kept):])
		if st.records = kept; len(kept) == 0 {
			delete(s.strata, name)
		}
	}
}
