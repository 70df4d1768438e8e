package own

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/gobwas/glob"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
)

// maxKept bounds what is kept for a generation. What comes later is not kept, so a list with more patterns is as slow from
// there on as it was, and not slower.
const maxKept = 4096

// maxKeptText is the longest text of a pattern that is kept.
const maxKeptText = 1000

// Kept is what a generation's builtins keep: what was made of constants of a program, and of its data. They outlive a
// decision, so each is compiled once. Values of inputs are not kept here, but by OPA's builtins, within their bounds.
// The zero value is ready. Safe for concurrent use.
type Kept struct {
	globs, patterns, networks sync.Map // by *value.Node
	count                     atomic.Int32

	keysOnce sync.Once
	keys     cache.InterQueryValueCache
}

// Keys is where OPA's builtins io.jwt keep the keys and certificates that they parsed, by their text; nil where the key of a
// call is neither a constant nor data: a caller's keys would drive out the policy's. Other builtins must not be given it, since
// some of OPA's share entries between patterns that differ.
func (k *Kept) Keys(operands []*value.Node) cache.InterQueryValueCache {
	if len(operands) != 2 {
		return nil
	}
	key := operands[1]
	if key.Kind() == value.Object {
		key = key.Get(nameCert)
	}
	if key == nil || key.Kind() != value.String || !key.Frozen() {
		return nil
	}
	k.keysOnce.Do(func() { k.keys = cache.NewInterQueryValueCache(context.Background(), &cache.Config{}) })
	return k.keys
}

var nameCert = value.Name("cert")

// kept returns what was made of a frozen text; make makes it where nothing is kept yet. nil is for texts that are not kept,
// and those that make fails for. A clone is made of the text: what is kept must not hold a larger text alive.
func kept[T any](k *Kept, all *sync.Map, n *value.Node, make func(text string) *T) *T {
	if !n.Frozen() {
		return nil
	}
	if there, ok := all.Load(n); ok {
		return there.(*T) //nolint:errcheck,forcetypeassert // each map has values of one type
	}
	if len(n.Text()) > maxKeptText || k.count.Load() >= maxKept {
		return nil
	}
	made := make(strings.Clone(n.Text()))
	if made == nil {
		return nil
	}
	if _, there := all.LoadOrStore(n, made); !there {
		k.count.Add(1)
	}
	return made
}

// keptGlob is a pattern with the delimiters that it was compiled with, which are the same at each call as a rule.
type keptGlob struct {
	delimiters string
	pattern    *glob.Pattern
}

func (k *Kept) glob(n *value.Node, delimiters string) *glob.Pattern {
	found := kept(k, &k.globs, n, func(text string) *keptGlob {
		p, err := glob.Compile(text, []rune(delimiters)...)
		if err != nil {
			return nil
		}
		return &keptGlob{strings.Clone(delimiters), p}
	})
	if found == nil || found.delimiters != delimiters {
		return nil
	}
	return found.pattern
}

func (k *Kept) pattern(n *value.Node) *pattern { return kept(k, &k.patterns, n, compilePattern) }

func (k *Kept) network(n *value.Node) *net.IPNet {
	return kept(k, &k.networks, n, func(text string) *net.IPNet {
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			return nil
		}
		return network
	})
}
