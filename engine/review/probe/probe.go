// Package probe searches for inputs that two generations answer differently, and that nobody recorded. Most callers need
// [Run]. [Open] searches one generation for answers that allow because a field is missing.
//
// A search evaluates. It follows what both evaluations compare, back through bindings, calls and functions to the places of
// the input that a value came from, and makes of each comparison edits of the input: make it true, make it false, try its
// edges. Inputs on which a rule already differs, though the answer does not yet, are followed before others.
//
// What is found is certain: it was evaluated on both generations. What is not found is not proved. Not attempted are
// signatures and hashes, texts that are unmarshalled, and inputs that must agree in several places by more than one step. The
// data is taken as it is.
package probe

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// Seed is where a search begins: an input, and the document that was asked for with it.
type Seed struct {
	Path  string          // as in a decision log: firewall/allow; empty: every document that the edit can reach
	Input json.RawMessage // nil: none
}

// Options bound a search. The zero value is a search of a second.
type Options struct {
	CPU      time.Duration // of this thread; where the system does not tell, time that passes. 0: [DefaultCPU]
	MaxInput int           // inputs that are evaluated; 0: as many as the time allows
	MaxFound int           // 0: [DefaultFound]
	Random   uint64        // two searches with the same number and MaxInput do the same
	At       time.Time     // what the clock of the policies says; zero: now
}

// The defaults of [Options].
const (
	DefaultCPU   = time.Second
	DefaultFound = 8
)

// maxSeeds bounds the inputs that a search begins with.
const maxSeeds = 200

// Run searches for inputs that base, which may be nil, and candidate answer differently. Each that it returns was evaluated on both, twice, and
// made as small as it could be. Answers mean what the base says ([review.NewOutcomes]). The error is ctx's, or says which seed is no JSON; what was found until then is
// returned with it. Run keeps a thread for itself; it changes nothing and is safe for concurrent use.
func Run(ctx context.Context, from, to *engine.Generation, seeds []Seed, opts Options) (*review.Probe, error) {
	if from == nil {
		return &review.Probe{}, nil // there is nothing that it could differ from
	}
	c := changeOf(from, to)
	if c.same {
		return &review.Probe{Same: true}, nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := newSearch(ctx, [2]*engine.Generation{from.Alone(timeLimit), to.Alone(timeLimit)}, c, opts)
	if err := s.plant(seeds); err != nil {
		return nil, err
	}
	s.run()
	p := &review.Probe{Found: s.flips(), Inputs: s.inputs}
	s.report(p)
	return p, ctx.Err()
}

// flips are those that were found: the gravest first, and errors of one side last.
func (s *search) flips() []review.Flip {
	s.found = append(s.found, s.errors[:min(len(s.errors), s.opts.MaxFound-len(s.found))]...)
	rank := func(f review.Flip) int {
		return slices.Index([]review.FlipKind{review.DenyToAllow, review.AllowToDeny, review.OtherFlip, review.ToError, review.FromError}, f.Kind)
	}
	slices.SortStableFunc(s.found, func(a, b review.Flip) int { return cmp.Compare(rank(a), rank(b)) })
	return s.found
}

// report counts the conditions of changed rules, and names those that were seen in one state only.
func (s *search) report(p *review.Probe) {
	seen := map[string]bool{}
	for _, sd := range []side{candidate, base} {
		for _, rule := range s.change.rules[sd] {
			for _, key := range conditionsOf(rule, sd) {
				place := fmt.Sprintf("%s:%d", key.file, key.row)
				if where := place + ":" + fmt.Sprint(key.col); seen[where] {
					continue
				} else {
					seen[where] = true
				}
				p.Conditions++
				t, f := s.covered[outcome{key, 1}], s.covered[outcome{key, -1}]
				switch {
				case t && f:
					p.Both++
				case !t:
					p.NeverTrue = append(p.NeverTrue, place)
				default:
					p.NeverFalse = append(p.NeverFalse, place)
				}
			}
		}
	}
	slices.Sort(p.NeverTrue)
	p.NeverTrue = slices.Compact(p.NeverTrue)
	slices.Sort(p.NeverFalse)
	p.NeverFalse = slices.Compact(p.NeverFalse)
}

// plant turns seeds into the first inputs. Every target gets an input without members, too.
func (s *search) plant(seeds []Seed) error {
	var asked []engine.Path
	type parsed struct {
		path  engine.Path
		input any
	}
	var all []parsed
	for i, seed := range seeds {
		path, err := engine.ParsePath(seed.Path)
		if err != nil {
			return fmt.Errorf("seed %d: %w", i+1, err)
		}
		if i < maxSeeds && seed.Input != nil && len(seed.Input) <= maxInput {
			input, err := parseText(seed.Input)
			if err != nil {
				return fmt.Errorf("seed %d, of %s: the input is no JSON: %w", i+1, seed.Path, err)
			}
			all = append(all, parsed{path, input})
		}
		if !slices.ContainsFunc(asked, func(p engine.Path) bool { return slices.Equal(p, path) }) {
			asked = append(asked, path)
		}
	}
	s.targets = targetsOf(s.sides[base], s.sides[candidate], s.change.packages, asked)
	for i := range s.targets {
		t := &s.targets[i]
		for _, p := range all {
			if under(p.path, t.path) {
				s.seed(t, p.input)
			}
		}
		s.seed(t, map[string]any{})
	}
	return nil
}

// under reports whether somebody who asks for the path may be asking for the target, or for what holds it.
func under(path, target engine.Path) bool {
	n := min(len(path), len(target))
	return slices.Equal(path[:n], target[:n])
}

// Text is what a probe found, for people.
func Text(p *review.Probe) string {
	switch {
	case p.Same:
		return "proved same: the rules and the data are what they were"
	case len(p.Found) == 0:
		return fmt.Sprintf("no difference in %d inputs; of %d changed conditions %d were seen both true and false%s",
			p.Inputs, p.Conditions, p.Both, never(p))
	}
	differences := "differences"
	if len(p.Found) == 1 {
		differences = "difference"
	}
	return fmt.Sprintf("%d %s in %d inputs; of %d changed conditions %d were seen both true and false%s",
		len(p.Found), differences, p.Inputs, p.Conditions, p.Both, never(p))
}

func never(p *review.Probe) string {
	var b strings.Builder
	for _, n := range []struct {
		what   string
		places []string
	}{{"true", p.NeverTrue}, {"false", p.NeverFalse}} {
		if len(n.places) > 0 {
			b.WriteString("; never " + n.what + ": " + strings.Join(n.places[:min(len(n.places), 10)], ", "))
		}
	}
	return b.String()
}
