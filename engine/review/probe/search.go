package probe

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The queues of a search, which take turns. One queue for all starves what is rare.
const (
	turnChanged   = iota // an outcome that no condition of a changed rule has had yet
	followChanged        // other edits of what changed rules compare
	turnOther            // an outcome that another condition has not had yet
	followOther
	infected // edits of inputs on which a rule differs already
	mix      // constants of the edit in seeds, templates, crossing
	queues
)

type item struct {
	target *target
	input  any
	edits  []edit
}

type outcome struct {
	key   siteKey
	truth int8
}

// kept is an input that showed something new.
type kept struct {
	target *target
	input  any
}

type search struct {
	ctx    context.Context //nolint:containedctx // lives as long as the search
	sides  [2]*engine.Generation
	change *change
	opts   Options
	random *rand.Rand

	targets []target
	known   *known
	queue   [queues][]item
	taken   [queues]int
	turn    int
	seen    map[string]bool
	covered map[outcome]bool
	combos  map[uint64]bool
	ill     map[uint64]bool // sets of rules that differed
	pool    []kept
	shown   map[showing]bool
	nearest map[siteKey]float64 // how far numbers were from each other that are compared
	values  map[siteKey]int     // constants that were counted as showing something new

	inputs  int
	found   []review.Flip
	errors  []review.Flip  // of one side only: second best
	gaps    map[string]Gap // nil: two generations are compared
	foundAt map[string]bool
	until   time.Duration
	means   *review.Outcomes
	over    bool
}

func newSearch(ctx context.Context, sides [2]*engine.Generation, c *change, opts Options) *search {
	if opts.CPU == 0 {
		opts.CPU = DefaultCPU
	}
	if opts.MaxFound == 0 {
		opts.MaxFound = DefaultFound
	}
	if opts.At.IsZero() {
		opts.At = time.Now()
	}
	s := &search{
		ctx: ctx, sides: sides, change: c, opts: opts, known: newKnown(), random: rand.New(rand.NewPCG(opts.Random, 1)), //nolint:gosec // the same search each time
		seen: map[string]bool{}, covered: map[outcome]bool{}, combos: map[uint64]bool{}, ill: map[uint64]bool{}, shown: map[showing]bool{}, nearest: map[siteKey]float64{}, values: map[siteKey]int{}, foundAt: map[string]bool{},
		until: threadTime() + opts.CPU, means: review.NewOutcomes(sides[base]),
	}
	s.known.learn(c, sides[base], sides[candidate])
	return s
}

// done reports whether time, inputs or interest are over.
func (s *search) done() bool {
	if s.over {
		return true
	}
	s.over = s.ctx.Err() != nil || len(s.found)+len(s.gaps) >= s.opts.MaxFound || s.opts.MaxInput > 0 && s.inputs >= s.opts.MaxInput || threadTime() > s.until
	return s.over
}

const maxQueued = 4000

func (s *search) push(q int, it item) {
	if len(s.queue[q]) < maxQueued {
		s.queue[q] = append(s.queue[q], it)
	}
}

// next takes from the queues by turns, the newest and the oldest of each by turns.
func (s *search) next() (item, bool) {
	for range queues {
		q := s.turn % queues
		s.turn++
		n := len(s.queue[q])
		if n == 0 {
			continue
		}
		s.taken[q]++
		at := 0
		if s.taken[q]%2 == 1 {
			at = n - 1
		}
		it := s.queue[q][at]
		if at == 0 {
			s.queue[q] = s.queue[q][1:]
		} else {
			s.queue[q] = s.queue[q][:at]
		}
		return it, true
	}
	return item{}, false
}

func (s *search) run() {
	for !s.done() {
		it, ok := s.next()
		if !ok {
			if !s.wander() {
				return
			}
			continue
		}
		input := it.input
		for _, e := range it.edits {
			input = set(input, e.at, e.value)
		}
		s.try(it.target, input)
	}
}

// wander makes inputs at random when nothing is left to follow: two or three constants at once. false: there is nothing
// to make them of.
func (s *search) wander() bool {
	if len(s.pool) == 0 {
		return false
	}
	before := len(s.seen)
	for range 64 {
		k := s.pool[s.random.IntN(len(s.pool))]
		places := placesOf(k.input)
		input := k.input
		for range 2 + s.random.IntN(2) {
			at := places[s.random.IntN(len(places))]
			values := append(slices.Clone(s.known.named[at.name()]), s.known.delta...)
			if len(at) == 0 || len(values) == 0 {
				continue
			}
			v := values[s.random.IntN(len(values))]
			if n := near(v); s.random.IntN(4) == 0 {
				v = n[s.random.IntN(len(n))]
			}
			if s.random.IntN(8) == 0 {
				v = absent{}
			}
			input = set(input, at, v)
		}
		if !s.done() {
			s.try(k.target, input)
		}
	}
	return len(s.seen) > before
}

// seed evaluates an input, and queues what the edit brought in its places.
func (s *search) seed(t *target, input any) {
	if s.done() {
		return
	}
	s.try(t, input)
	root, isObject := input.(map[string]any)
	for _, o := range s.known.objects {
		if isObject {
			merged := maps.Clone(root)
			maps.Copy(merged, o)
			s.push(mix, item{t, merged, nil})
		}
	}
	for _, at := range placesOf(input) {
		if len(at) == 0 {
			continue
		}
		was, _ := get(input, at)
		for _, v := range s.known.delta {
			if sameKind(was, v) {
				s.push(mix, item{t, input, []edit{{at, v}}})
			}
		}
		s.push(mix, item{t, input, []edit{{at, absent{}}}})
	}
}

func sameKind(a, b any) bool {
	switch a.(type) {
	case string:
		_, ok := b.(string)
		return ok
	case bool:
		_, ok := b.(bool)
		return ok
	case []any:
		_, ok := b.([]any)
		return ok
	case map[string]any:
		_, ok := b.(map[string]any)
		return ok
	}
	_, isA := floatOf(a)
	_, isB := floatOf(b)
	return isA && isB
}

// try evaluates an input on both sides, unless it was tried, and keeps it if it shows something new.
func (s *search) try(t *target, input any) {
	text := textOf(input)
	key := t.path.String() + "\x00" + text
	if s.seen[key] || len(text) > maxInput {
		return
	}
	s.seen[key] = true
	s.inputs++
	places := map[*ast.Term]place{}
	root := terms(input, place{}, places)
	var watches [2]*watch
	var values [2]ast.Value
	var failed [2]error
	for sd := range s.sides {
		if sd == int(candidate) && s.gaps != nil {
			watches[sd] = s.newWatch(candidate, root, places) // one generation: there is nothing to compare
			break
		}
		watches[sd] = s.newWatch(side(sd), root, places)
		values[sd], failed[sd] = s.observe(s.sides[sd], t.path, root.Value, engine.Observation{Steps: watches[sd], EveryRule: true, Lenient: true})
		if s.ctx.Err() != nil {
			return
		}
	}
	if s.gaps == nil {
		s.compare(t, input, values, failed)
	}
	ill, novel := s.learn(watches)
	if novel && s.gaps != nil {
		s.gapsOf(t, input, values[base], watches[base])
		ill = false
	}
	if novel {
		s.keep(t, input, watches, ill)
	}
}

func (s *search) newWatch(sd side, root *ast.Term, places map[*ast.Term]place) *watch {
	g := s.sides[sd]
	return &watch{
		side: sd, changed: s.change.changedAt(sd), places: places, root: root,
		derived: map[*ast.Term]*origin{}, frames: map[uint64]*frame{}, byExpr: map[siteOf]*site{}, rules: map[string]uint64{}, combos: map[uint64]bool{},
		data: func(ref ast.Ref) ast.Value {
			if v, err := g.Data().Find(ref[1:]); err == nil {
				return v
			}
			return nil
		},
	}
}

// timeLimit bounds one evaluation.
const timeLimit = 200 * time.Millisecond

func (s *search) observe(g *engine.Generation, path engine.Path, input ast.Value, o engine.Observation) (ast.Value, error) {
	ctx, cancel := context.WithTimeout(s.ctx, timeLimit)
	defer cancel()
	o.At = s.opts.At
	return g.Observe(ctx, path, input, o)
}
