package review

import (
	"cmp"
	"encoding/json"
	"slices"

	"defenseclaw/engine/internal/store"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Data is a place of the data that differs: the deepest one that is no object in both. Before and After are JSON, nil
// where there is nothing, and left out where one is longer than [MaxValueBytes].
type Data struct {
	Path          string
	Change        string
	Before, After json.RawMessage
	Leaves        Size // of the values before and after
	Elements      *Elements
}

// Elements are those of a list that came and went, without regard to their order, as JSON; at most [maxElements] of each.
type Elements struct{ Added, Removed []json.RawMessage }

// MaxValueBytes bounds each value that a review shows.
const MaxValueBytes = 4 << 10

const (
	maxElements = 100
	maxCompared = 20_000 // elements of a list that are compared one by one
)

// compareData fills in what is about data, and returns the places that differ.
func (r *Review) compareData(before, after ast.Object) (places []ast.Ref) {
	c := comparison{}
	c.object(before, after, ast.Ref{ast.DefaultRootDocument})
	r.Data = c.found
	slices.SortFunc(r.Data, func(a, b Data) int { return cmp.Compare(a.Path, b.Path) })
	return c.places
}

type comparison struct {
	found  []Data
	places []ast.Ref
}

// object ends at once where both documents share what an edit left alone.
func (c *comparison) object(before, after ast.Object, at ast.Ref) {
	if before == after {
		return
	}
	before.Foreach(func(k, was *ast.Term) {
		if is := after.Get(k); is == nil {
			c.add(at.Append(k), Removed, was, nil)
		} else if is != was {
			c.both(was, is, at.Append(k))
		}
	})
	after.Foreach(func(k, is *ast.Term) {
		if before.Get(k) == nil {
			c.add(at.Append(k), Added, nil, is)
		}
	})
}

func (c *comparison) both(was, is *ast.Term, at ast.Ref) {
	a, wasObject := was.Value.(ast.Object)
	b, isObject := is.Value.(ast.Object)
	switch {
	case wasObject && isObject:
		c.object(a, b, at)
	case was.Value.Compare(is.Value) != 0:
		c.add(at, Changed, was, is)
	}
}

func (c *comparison) add(at ast.Ref, change string, was, is *ast.Term) {
	d := Data{Path: at.String(), Change: change}
	if was != nil {
		d.Before, d.Leaves.Before = short(was), store.Leaves(was.Value)
	}
	if is != nil {
		d.After, d.Leaves.After = short(is), store.Leaves(is.Value)
	}
	if was != nil && is != nil {
		d.Elements = elementsOf(was, is)
	}
	c.found = append(c.found, d)
	c.places = append(c.places, at)
}

// short is the value as JSON, nil if it is too long to be shown.
func short(t *ast.Term) json.RawMessage {
	if store.Leaves(t.Value) > MaxValueBytes { // each takes two bytes at the least: most long values are not written at all
		return nil
	}
	value, err := ast.JSON(t.Value)
	if err != nil {
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil || len(text) > MaxValueBytes {
		return nil
	}
	return text
}

// elementsOf is nil unless both are lists that are short enough to be compared.
func elementsOf(was, is *ast.Term) *Elements {
	a, wasArray := was.Value.(*ast.Array)
	b, isArray := is.Value.(*ast.Array)
	if !wasArray || !isArray || a.Len()+b.Len() > maxCompared {
		return nil
	}
	return &Elements{Added: beyond(a, b), Removed: beyond(b, a)}
}

// beyond lists the elements of all that are more often in it than in have.
func beyond(have, all *ast.Array) []json.RawMessage {
	left := map[string]int{}
	have.Foreach(func(t *ast.Term) { left[t.Value.String()]++ })
	var found []json.RawMessage
	all.Foreach(func(t *ast.Term) {
		key := t.Value.String()
		if left[key]--; left[key] < 0 && len(found) < maxElements {
			if text := short(t); text != nil {
				found = append(found, text)
			}
		}
	})
	return found
}
