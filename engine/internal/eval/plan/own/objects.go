package own

import "defenseclaw/engine/internal/eval/plan/value"

var objects = map[string]Builtin{
	"object.get":     objectGet,
	"object.keys":    objectKeys,
	"object.remove":  objectRemove,
	"object.filter":  objectFilter,
	"object.union":   objectUnion,
	"object.union_n": objectUnionN,

	"graph.reachable": reachable,
}

// objectGet takes scalars as keys. A set gives the key that it is asked for, which may be written otherwise than its element.
func objectGet(c *Call, x []*value.Node) *value.Node {
	if len(x) != 3 || x[0].Kind() != value.Object {
		return nil
	}
	if x[1].Kind() < value.Array {
		return or(x[0].Get(x[1]), x[2])
	}
	if x[1].Kind() != value.Array || !c.takes(x[1]) {
		return nil
	}
	at := x[0]
	for i := range x[1].Len() {
		key := x[1].Elem(i)
		if key.Kind() >= value.Array || at.Kind() == value.Set && key.Kind() != value.String {
			return nil
		}
		if at = at.Get(key); at == nil {
			return x[2]
		}
	}
	return at
}

func or(x, otherwise *value.Node) *value.Node {
	if x == nil {
		return otherwise
	}
	return x
}

func objectKeys(c *Call, x []*value.Node) *value.Node {
	if len(x) != 1 || x[0].Kind() != value.Object || !c.takes(x[0]) {
		return nil
	}
	keys := c.arena.Empty(value.Set, x[0].Len())
	for i := range x[0].Len() {
		key, _ := x[0].Pair(i)
		if key.Kind() >= value.Array {
			return nil
		}
		keys.AddDistinct(key)
	}
	return keys
}

func objectRemove(c *Call, x []*value.Node) *value.Node { return c.selected(x, false) }

func objectFilter(c *Call, x []*value.Node) *value.Node { return c.selected(x, true) }

// selected is the object of the pairs whose keys are, or are not, among those of a list or an object. It takes names as keys.
func (c *Call) selected(x []*value.Node, among bool) *value.Node {
	if len(x) != 2 || x[0].Kind() != value.Object || x[1].Kind() < value.Array || !c.fits(maxItems, x...) {
		return nil
	}
	object, names := x[0], x[1]
	steps := object.Len() + names.Len()
	if names.Kind() == value.Array {
		steps = object.Len() * names.Len()
	}
	if steps > maxItems || !c.spend(steps) || !keysAreTexts(object) || !isTexts(names) && !keysAreTexts(names) {
		return nil
	}
	out := c.arena.Empty(value.Object, 0)
	for i := range object.Len() {
		if key, v := object.Pair(i); holds(names, key) == among {
			out.Insert(key, v)
		}
	}
	return out
}

func keysAreTexts(object *value.Node) bool {
	if object.Kind() != value.Object || object.Len() > maxItems {
		return false
	}
	for i := range object.Len() {
		if key, _ := object.Pair(i); key.Kind() != value.String {
			return false
		}
	}
	return true
}

func holds(names, key *value.Node) bool {
	if names.Kind() != value.Array {
		return names.Get(key) != nil
	}
	for i := range names.Len() {
		if names.Elem(i).Text() == key.Text() {
			return true
		}
	}
	return false
}

func objectUnion(c *Call, x []*value.Node) *value.Node {
	if len(x) != 2 || x[0].Kind() != value.Object || x[1].Kind() != value.Object || !c.fits(maxItems, x...) {
		return nil
	}
	// OPA's gives the first of two that are equal, with the numbers as they are written there.
	if x[0].Len() == x[1].Len() {
		if !c.within(x...) {
			return nil
		}
		if value.Equal(x[0], x[1]) {
			return x[0]
		}
	}
	return c.merged(x)
}

func objectUnionN(c *Call, x []*value.Node) *value.Node {
	const few = 64
	if len(x) != 1 || x[0].Kind() != value.Array || x[0].Len() > few || !c.fits(maxItems, x...) {
		return nil
	}
	all := make([]*value.Node, x[0].Len())
	for i := range all {
		if all[i] = x[0].Elem(i); all[i].Kind() != value.Object {
			return nil
		}
	}
	return c.merged(all)
}

// merged is the union of objects, in which later ones win, and objects below a name of both are merged in turn.
func (c *Call) merged(all []*value.Node) *value.Node {
	if len(all) == 0 {
		return c.arena.Empty(value.Object, 0)
	}
	left := maxItems
	out := all[0]
	for _, next := range all[1:] {
		if out = c.merge(out, next, &left, 0); out == nil {
			return nil
		}
	}
	if !c.spend(maxItems - left) {
		return nil
	}
	return out
}

// merge takes names as keys. left bounds the pairs that are looked at, since parts may be shared.
func (c *Call) merge(a, b *value.Node, left *int, depth int) *value.Node {
	switch *left -= a.Len() + b.Len(); {
	case *left < 0 || depth > maxDepth || !keysAreTexts(a) || !keysAreTexts(b):
		return nil
	case b.Len() == 0:
		return a
	case a.Len() == 0:
		return b
	}
	out := c.arena.Copy(a)
	for i := range b.Len() {
		key, v := b.Pair(i)
		if there := a.Get(key); there != nil && there.Kind() == value.Object && v.Kind() == value.Object {
			if v = c.merge(there, v, left, depth+1); v == nil {
				return nil
			}
		}
		out.Insert(key, v)
	}
	return out
}

// reachable takes names as nodes.
func reachable(c *Call, x []*value.Node) *value.Node {
	if len(x) != 2 || x[0].Kind() != value.Object || !isList(x[1]) || !isTexts(x[1]) || !c.fits(maxItems, x[0]) || !keysAreTexts(x[0]) {
		return nil
	}
	seen, reached := c.arena.Empty(value.Set, x[1].Len()), c.arena.Empty(value.Set, 0)
	for i := range x[1].Len() {
		seen.Add(x[1].Elem(i))
	}
	// Nodes are added to the end of the set while it is gone through, and nothing sorts it.
	for i := 0; i < seen.Len(); i++ {
		edges := x[0].Get(seen.Elem(i))
		if edges == nil {
			continue
		}
		reached.AddDistinct(seen.Elem(i))
		if !isList(edges) {
			continue
		}
		if !isTexts(edges) || !c.takes(edges) {
			return nil
		}
		for j := range edges.Len() {
			seen.Add(edges.Elem(j))
		}
	}
	return reached
}
