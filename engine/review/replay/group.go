package replay

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"defenseclaw/engine/review"

	"github.com/open-policy-agent/opa/v1/ast"
)

const (
	maxExplained = 200 // flips whose cause is looked for
	maxExamples  = 3   // of a group
)

// groupKey is what flips of one group share.
type groupKey struct {
	path  string
	kind  review.FlipKind
	cause review.Cause
}

// group sorts the flips by their causes. Those that are not looked into belong to the cause that all others of their path
// and kind have, and to none where these have several.
func (r *run) group(ctx context.Context) {
	if len(r.flips) == 0 {
		return
	}
	c, found := newCauses(r), map[int]review.Cause{}
	causesOf := map[groupKey][]review.Cause{} // by path and kind
	for _, i := range r.toExplain() {
		if r.ended(ctx) {
			break
		}
		f := &r.flips[i]
		cause := c.of(ctx, f)
		found[i] = cause
		if key := r.keyOf(f); !slices.Contains(causesOf[key], cause) {
			causesOf[key] = append(causesOf[key], cause)
		}
		r.pace(ctx)
	}
	groups := map[groupKey][]*flip{}
	for i := range r.flips {
		f := &r.flips[i]
		key := r.keyOf(f)
		cause, ok := found[i]
		if all := causesOf[key]; !ok && len(all) == 1 {
			cause = all[0]
		}
		key.cause = cause
		groups[key] = append(groups[key], f)
	}
	for key, flips := range groups {
		r.result.Groups = append(r.result.Groups, r.groupOf(key, flips))
	}
	kinds := review.FlipKinds()
	slices.SortFunc(r.result.Groups, func(a, b review.Group) int {
		return cmp.Or(slices.Index(kinds, a.Kind)-slices.Index(kinds, b.Kind), b.Count-a.Count, cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Cause.Rule, b.Cause.Rule), cmp.Compare(a.Cause.Row, b.Cause.Row), cmp.Compare(a.Cause.Data, b.Cause.Data))
	})
}

func (r *run) keyOf(f *flip) groupKey { return groupKey{path: r.recs[f.record].Path, kind: f.kind} }

// toExplain takes flips of each path and kind in turns: the gravest kinds first, and of each the first that were found,
// which are of different strata.
func (r *run) toExplain() []int {
	byKey := map[groupKey][]int{}
	var keys []groupKey
	for i := range r.flips {
		key := r.keyOf(&r.flips[i])
		if byKey[key] == nil {
			keys = append(keys, key)
		}
		byKey[key] = append(byKey[key], i)
	}
	kinds := review.FlipKinds()
	slices.SortStableFunc(keys, func(a, b groupKey) int { return slices.Index(kinds, a.kind) - slices.Index(kinds, b.kind) })
	var chosen []int
	for round := 0; len(chosen) < min(len(r.flips), maxExplained); round++ {
		for _, key := range keys {
			if round < len(byKey[key]) && len(chosen) < maxExplained {
				chosen = append(chosen, byKey[key][round])
			}
		}
	}
	return chosen
}

func (r *run) groupOf(key groupKey, flips []*flip) review.Group {
	slices.SortStableFunc(flips, func(a, b *flip) int { return r.recs[b.record].Time.Compare(r.recs[a.record].Time) })
	g := review.Group{Path: key.path, Kind: key.kind, Cause: key.cause, Count: len(flips)}
	for _, f := range flips[:min(len(flips), maxExamples)] {
		g.Examples = append(g.Examples, r.exampleOf(f))
	}
	return g
}

func clausesOf(h *held) []*ast.Rule {
	if h == nil {
		return nil
	}
	return h.clauses
}

// beyond lists the clauses that mean something that none of the others does.
func beyond(others, all []*ast.Rule) (found []*ast.Rule) {
	known := map[string]bool{}
	for _, rule := range others {
		known[review.Normal(rule)] = true
	}
	for _, rule := range all {
		if !known[review.Normal(rule)] {
			found = append(found, rule)
		}
	}
	return found
}

// textOf is the text of a clause as its author wrote it.
func textOf(rule *ast.Rule) string { return strings.TrimSpace(string(rule.Location.Text)) }
