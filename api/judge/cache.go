package judge

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jellydator/ttlcache/v3"
)

// key is all that a cached answer depends on. The generation and the epoch are those at the start of the
// call: a later policy uses other keys, so the cache need not be cleared.
type key struct {
	generation uint64
	epoch      uint64
	kind       Kind
	model      string
	direction  Direction
	content    [32]byte // SHA-256
}

// flight is a call in progress, shared by all callers with the same key. Its result is set before done is
// closed, and does not change after that.
type flight struct {
	done   chan struct{}
	answer answer
	err    error
}

// errAbandoned ends a flight whose caller has left. The callers that waited for it try again.
var errAbandoned = errors.New("the caller left")

// verdicts caches answers and merges identical calls. golang.org/x/sync/singleflight does not fit: with it,
// a waiting caller either cannot leave, or the call runs on a goroutine that is not awaited. Here the first
// caller makes the call; if it leaves, one of the waiting callers makes the call again.
type verdicts struct {
	epoch atomic.Uint64
	cache *ttlcache.Cache[key, answer] // without its janitor: finish deletes expired entries

	mu      sync.Mutex
	flights map[key]*flight // guarded by mu
}

func newVerdicts(ttl time.Duration, entries int) *verdicts {
	return &verdicts{
		cache: ttlcache.New(
			ttlcache.WithTTL[key, answer](ttl),
			ttlcache.WithCapacity[key, answer](uint64(entries)),
			ttlcache.WithDisableTouchOnHit[key, answer](),
		),
		flights: map[key]*flight{},
	}
}

// invalidate makes all cached answers misses, and keeps calls in progress out of the cache.
func (v *verdicts) invalidate() { v.epoch.Add(1) }

// join returns a cached answer (f is nil), a flight to wait for, or a new flight to lead: then the caller
// must call finish.
func (v *verdicts) join(k key) (a answer, f *flight, lead bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	// finish fills the cache and removes the flight under mu, so a caller finds one of the two.
	if item := v.cache.Get(k); item != nil {
		return item.Value(), nil, false
	}
	if f, ok := v.flights[k]; ok {
		return answer{}, f, false
	}
	f = &flight{done: make(chan struct{}), err: errAbandoned}
	v.flights[k] = f
	return answer{}, f, true
}

// finish ends a flight, passes its result to the waiting callers, and caches it if it is an answer.
func (v *verdicts) finish(k key, f *flight, a answer, err error) {
	v.mu.Lock()
	if err == nil && v.epoch.Load() == k.epoch { // an answer of an earlier epoch would only evict others
		v.cache.DeleteExpired()
		v.cache.Set(k, a, ttlcache.DefaultTTL)
	}
	delete(v.flights, k)
	v.mu.Unlock()
	f.answer, f.err = a, err
	close(f.done)
}
