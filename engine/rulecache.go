package engine

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// ruleCache has the values of the rules that one evaluation met, as [topdown.NewVirtualCache] has them,
// and those that are known from the start. It is to be reset before the first use. Most evaluations meet
// few rules, and a list of them costs less than a tree by the parts of their names. Not for concurrent use.
type ruleCache struct {
	known  *knownRules // nil: none
	frames []cacheFrame
	first  [1]cacheFrame
	room   [4]cachedRule // of the first frame
}

// cacheFrame is what was met below one with; the first one is that of the query.
type cacheFrame struct {
	rules []cachedRule
	many  topdown.VirtualCache // in place of rules, once they are many; nil before
}

type cachedRule struct {
	ref       ast.Ref
	value     *ast.Term
	undefined bool // counts, whatever value is
}

// mostListed is how many rules are searched one by one.
const mostListed = 16

// reset makes the cache one that has met nothing.
func (c *ruleCache) reset(known *knownRules) {
	*c = ruleCache{known: known}
	c.first[0].rules = c.room[:0]
	c.frames = c.first[:]
}

// Push is [topdown.VirtualCache]'s.
func (c *ruleCache) Push() { c.frames = append(c.frames, cacheFrame{}) }

// Pop is [topdown.VirtualCache]'s.
func (c *ruleCache) Pop() { c.frames = c.frames[:len(c.frames)-1] }

func (c *ruleCache) top() *cacheFrame { return &c.frames[len(c.frames)-1] }

// Get is [topdown.VirtualCache]'s. A with changes what rules depend on: below it, none is known.
func (c *ruleCache) Get(ref ast.Ref) (value *ast.Term, undefined bool) {
	if c.known != nil && len(c.frames) == 1 {
		if k := c.known.find(ref); k != nil && (k.value != nil || k.undefined) {
			return k.value, k.undefined
		}
	}
	f := c.top()
	if f.many != nil {
		return f.many.Get(ref)
	}
	if r := f.find(ref); r != nil {
		if r.undefined {
			return nil, true
		}
		return r.value, false
	}
	return nil, false
}

// Put is [topdown.VirtualCache]'s.
func (c *ruleCache) Put(ref ast.Ref, value *ast.Term) {
	f := c.top()
	if f.many == nil && len(f.rules) >= mostListed {
		f.many = topdown.NewVirtualCache()
		for _, r := range f.rules {
			if r.value != nil {
				f.many.Put(r.ref, r.value)
			}
			if r.undefined {
				f.many.Put(r.ref, nil)
			}
		}
	}
	if f.many != nil {
		f.many.Put(ref, value)
		return
	}
	r := f.find(ref)
	if r == nil {
		f.rules = append(f.rules, cachedRule{ref: slices.Clone(ref)}) // the evaluator goes on with its own
		r = &f.rules[len(f.rules)-1]
	}
	if value == nil {
		r.undefined = true
	} else {
		r.value = value
	}
}

// Keys is [topdown.VirtualCache]'s.
func (c *ruleCache) Keys() []ast.Ref {
	f := c.top()
	if f.many != nil {
		return f.many.Keys()
	}
	var keys []ast.Ref
	for _, r := range f.rules {
		if r.value != nil {
			keys = append(keys, r.ref)
		}
	}
	return keys
}

// find compares from the end, where names differ.
func (f *cacheFrame) find(ref ast.Ref) *cachedRule {
next:
	for i := range f.rules {
		known := f.rules[i].ref
		if len(known) != len(ref) {
			continue
		}
		for j := len(ref) - 1; j >= 0; j-- {
			if !known[j].Equal(ref[j]) {
				continue next
			}
		}
		return &f.rules[i]
	}
	return nil
}
