package own

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// pattern is a compiled regular expression. Go's matcher follows an expression character by character through all places
// where it may stand; an automaton has a number for each set of places, and needs one look-up for each character.
type pattern struct {
	re      *regexp.Regexp
	program *syntax.Prog
	size    int // of the program

	uses      atomic.Int32
	once      sync.Once
	automaton atomic.Pointer[automaton] // nil: none yet, or none could be made
}

const (
	// maxWork bounds the instructions times the bytes of a match by Go's matcher, which cannot be interrupted: some
	// milliseconds. OPA's builtin takes what is longer.
	maxWork = 1 << 18
	// usesForAutomaton is after how many matches an automaton pays: it takes as long to make as some hundred of them.
	usesForAutomaton = 64
)

func compilePattern(text string) *pattern {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil
	}
	return &pattern{re: re, program: program, size: len(program.Inst) + strings.Count(text, "(")}
}

// match returns false for ok where the text is too long.
func (p *pattern) match(c *Call, text string) (matches, ok bool) {
	if a := p.automaton.Load(); a != nil {
		if matches, ok = a.match(text); ok {
			return matches, true
		}
	} else if p.uses.Load() < usesForAutomaton && p.uses.Add(1) == usesForAutomaton {
		p.once.Do(func() { p.automaton.Store(newAutomaton(p.program)) })
	}
	if len(text)*p.size > maxWork || !c.spend(len(text)*p.size/8) {
		return false, false
	}
	return p.re.MatchString(text), true
}

// The largest automaton that is made. A pattern may have exponentially many states.
const (
	maxStates       = 200
	maxInstructions = 250
	maxTransitions  = 4 << 10
	maxPlaces       = 200_000 // that are followed while it is made: some milliseconds
)

// automaton decides whether a text of ASCII holds a match of an expression. It never changes.
type automaton struct {
	class   [utf8.RuneSelf]uint8 // of a character: those that no instruction tells apart have the same
	classes int
	next    []uint8 // by state and class; state 0 is the first
	found   []bool  // by state: there is a match already
	atEnd   []bool  // by state: there is one if the text ends here
}

// match returns false for ok where the text is not of ASCII.
func (a *automaton) match(text string) (matches, ok bool) {
	state := 0
	for i := range len(text) {
		c := text[i]
		if c >= utf8.RuneSelf {
			return false, false
		}
		state = int(a.next[state*a.classes+int(a.class[c])])
	}
	return a.found[state] || a.atEnd[state], true
}

// maker makes an automaton of a program of package syntax, by the construction of sets of places.
type maker struct {
	program *syntax.Prog
	sets    [][]uint32       // by state: the places, each of an instruction that reads a character or waits for the end
	states  map[string]uint8 // by the set as a text
	seen    []int            // by place: the number of the set that it was last put into
	making  int              // the number of the set that is being made
	places  int              // that were followed
	*automaton
}

// newAutomaton returns nil where the expression looks at lines or words, or has too many states.
func newAutomaton(program *syntax.Prog) *automaton {
	if len(program.Inst) > maxInstructions || !onlyEnds(program) {
		return nil
	}
	m := &maker{program: program, states: map[string]uint8{}, seen: make([]int, len(program.Inst)), automaton: &automaton{}}
	m.classify()
	first, _ := m.state(m.closure([]uint32{uint32(program.Start)}, syntax.EmptyBeginText)) //nolint:gosec // a place
	for s := int(first); s < len(m.sets); s++ {
		for class := range m.classes {
			to, ok := uint8(s), true //nolint:gosec // at most maxStates
			if !m.found[s] {         // or whatever follows changes nothing
				to, ok = m.state(m.after(m.sets[s], m.sample(class)))
			}
			if !ok || m.places > maxPlaces || len(m.sets)*m.classes > maxTransitions {
				return nil
			}
			m.next = append(m.next, to)
		}
	}
	return m.automaton
}

// onlyEnds reports whether the expression looks at nothing around a character but the beginning and the end of the text.
func onlyEnds(program *syntax.Prog) bool {
	for i := range program.Inst {
		in := &program.Inst[i]
		if in.Op == syntax.InstEmptyWidth && syntax.EmptyOp(in.Arg)&^(syntax.EmptyBeginText|syntax.EmptyEndText) != 0 {
			return false
		}
	}
	return true
}

// classify puts two characters into one class if each instruction reads both or none.
func (m *maker) classify() {
	known := map[string]uint8{}
	for r := range rune(utf8.RuneSelf) {
		reads := make([]byte, 0, len(m.program.Inst))
		for i := range m.program.Inst {
			if m.reads(uint32(i), r) { //nolint:gosec // a place
				reads = append(reads, 1)
			} else {
				reads = append(reads, 0)
			}
		}
		class, ok := known[string(reads)]
		if !ok {
			class = uint8(len(known)) //nolint:gosec // at most one for each of 128
			known[string(reads)] = class
		}
		m.class[r] = class
	}
	m.classes = len(known)
}

func (m *maker) sample(class int) rune { return rune(slices.Index(m.class[:], uint8(class))) } //nolint:gosec // a class

func (m *maker) reads(at uint32, r rune) bool {
	switch in := &m.program.Inst[at]; in.Op {
	case syntax.InstRune, syntax.InstRune1:
		return in.MatchRune(r)
	case syntax.InstRuneAny:
		return true
	case syntax.InstRuneAnyNotNL:
		return r != '\n'
	default:
		return false
	}
}

// after is the set of places after a character: those that follow, and the beginning, since a match may begin anywhere.
func (m *maker) after(set []uint32, r rune) []uint32 {
	var from []uint32
	for _, at := range set {
		if m.reads(at, r) {
			from = append(from, m.program.Inst[at].Out)
		}
	}
	return m.closure(append(from, uint32(m.program.Start)), 0) //nolint:gosec // a place
}

// closure follows what reads no character. What waits for the end of the text stays in the set, unless it is here.
func (m *maker) closure(from []uint32, here syntax.EmptyOp) []uint32 {
	m.making++
	var set []uint32
	for _, at := range from {
		set = m.follow(set, at, here)
	}
	slices.Sort(set)
	return set
}

func (m *maker) follow(set []uint32, at uint32, here syntax.EmptyOp) []uint32 {
	if m.seen[at] == m.making {
		return set
	}
	m.seen[at] = m.making
	m.places++
	switch in := &m.program.Inst[at]; in.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		return m.follow(m.follow(set, in.Out, here), in.Arg, here)
	case syntax.InstCapture, syntax.InstNop:
		return m.follow(set, in.Out, here)
	case syntax.InstEmptyWidth:
		if syntax.EmptyOp(in.Arg)&^here == 0 {
			set = m.follow(set, in.Out, here)
		}
	case syntax.InstFail:
		return set
	}
	return append(set, at)
}

// state is the number of a set, which is new where the set is.
func (m *maker) state(set []uint32) (uint8, bool) {
	key := make([]byte, 0, 2*len(set))
	for _, at := range set {
		key = append(key, byte(at), byte(at>>8)) //nolint:gosec // of two bytes
	}
	if len(m.sets) == 0 { // the first is of the beginning, and no other set is the same
		key = append(key, '^')
	}
	if s, ok := m.states[string(key)]; ok {
		return s, true
	}
	if len(m.sets) > maxStates {
		return 0, false
	}
	s := uint8(len(m.sets)) //nolint:gosec // at most maxStates
	m.states[string(key)] = s
	m.sets = append(m.sets, set)
	m.found = append(m.found, m.holdsMatch(set))
	here := syntax.EmptyEndText
	if s == 0 {
		here |= syntax.EmptyBeginText
	}
	m.atEnd = append(m.atEnd, m.holdsMatch(m.closure(set, here)))
	return s, true
}

func (m *maker) holdsMatch(set []uint32) bool {
	return slices.ContainsFunc(set, func(at uint32) bool { return m.program.Inst[at].Op == syntax.InstMatch })
}
