package unit

import (
	"iter"
	"maps"
)

// Table holds values by key. It never changes: an edit makes another one, which takes the time and the
// memory of what changes, since the two share the rest. The zero value is empty. Safe for concurrent use.
type Table[V any] struct {
	// Of 10,000 keys some forty are copied when one of them is edited, beside this array.
	shards [256]map[Key]*V
}

// Get returns the value at key, nil when there is none.
func (t *Table[V]) Get(key Key) *V { return t.shards[shardOf(key)][key] }

// All are the values, in no order.
func (t *Table[V]) All() iter.Seq2[Key, *V] {
	return func(yield func(Key, *V) bool) {
		for _, shard := range t.shards {
			for key, value := range shard {
				if !yield(key, value) {
					return
				}
			}
		}
	}
}

// With returns the table with the values given in place of those at the same keys; nil leaves none there.
func (t *Table[V]) With(values map[Key]*V) *Table[V] {
	next := &Table[V]{shards: t.shards}
	var own [len(t.shards)]bool
	for key, value := range values {
		at := shardOf(key)
		if !own[at] {
			own[at] = true
			if next.shards[at] = maps.Clone(t.shards[at]); next.shards[at] == nil {
				next.shards[at] = map[Key]*V{}
			}
		}
		if value == nil {
			delete(next.shards[at], key)
		} else {
			next.shards[at][key] = value
		}
	}
	return next
}

// shardOf is FNV-1a, folded.
func shardOf(key Key) uint8 {
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	h ^= h >> 16
	return uint8(h ^ h>>8) //nolint:gosec // the lowest eight bits are meant
}
