package builtins

import "sync"

// maxCachedText bounds the bytes of a pattern that a cache keeps; a longer one is compiled each time.
const maxCachedText = 1000

// cache keeps what was made of up to max patterns, and evicts any one of them for another. Safe for concurrent
// use.
type cache[K comparable, V any] struct {
	max int

	mu     sync.RWMutex
	values map[K]V
}

// get returns what was made of the pattern with the key, whose text has that many bytes; compile makes it when
// it is not kept.
func (c *cache[K, V]) get(key K, bytes int, compile func() (V, error)) (V, error) {
	c.mu.RLock()
	p, ok := c.values[key]
	c.mu.RUnlock()
	if ok {
		return p, nil
	}
	p, err := compile()
	if err != nil || bytes > maxCachedText {
		return p, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = map[K]V{}
	}
	if len(c.values) >= c.max {
		for some := range c.values {
			delete(c.values, some)
			break
		}
	}
	c.values[key] = p
	return p, nil
}
