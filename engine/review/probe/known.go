package probe

import (
	"slices"
)

// known is what a search has learnt of values: those of the edit, and those that places were compared with, by the names
// of the places.
type known struct {
	delta   []any // constants that the edit brought or took
	isDelta map[string]bool
	named   map[string][]any
	objects []map[string]any // of the data, as templates
	seen    map[string]bool
}

func newKnown() *known {
	return &known{isDelta: map[string]bool{}, named: map[string][]any{}, seen: map[string]bool{}}
}

const (
	maxNamed   = 24
	maxDelta   = 60
	maxObjects = 40
)

func (k *known) addDelta(v any) {
	text := textOf(v)
	if !k.isDelta[text] && len(k.delta) < maxDelta {
		k.isDelta[text] = true
		k.delta = append(k.delta, v)
	}
}

// compared notes that a value of the input is compared with another one.
func (k *known) compared(o *origin, v any) {
	for o != nil && o.call != "" {
		switch {
		case o.of != nil:
			o = o.of
		default:
			i := slices.IndexFunc(o.args, func(a operand) bool { return a.from != nil })
			if i < 0 {
				return
			}
			o = o.args[i].from
		}
	}
	if o == nil {
		return
	}
	name := o.at.name()
	key := name + "\x00" + textOf(v)
	if k.seen[key] || len(k.named[name]) >= maxNamed {
		return
	}
	k.seen[key] = true
	k.named[name] = append(k.named[name], v)
}

// others are values that places of the same name were compared with.
func (k *known) others(o *origin, n int) []any {
	for o != nil && o.of != nil {
		o = o.of
	}
	if o == nil || o.call != "" {
		return nil
	}
	all := k.named[o.at.name()]
	return all[:min(n, len(all))]
}

// prefer puts the constants of the edit first.
func (k *known) prefer(values []any) {
	slices.SortStableFunc(values, func(a, b any) int {
		x, y := k.isDelta[textOf(a)], k.isDelta[textOf(b)]
		switch {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	})
}

// templates are what objects of the data have under a member's name.
func (k *known) templates(name string) (all []any) {
	if name == "" {
		return nil
	}
	for _, o := range k.objects {
		if v, ok := o[name]; ok && len(all) < 6 {
			all = append(all, v)
		}
	}
	return all
}
