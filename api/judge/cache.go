package judge

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jellydator/ttlcache/v3"
)

// key is everything that a kept answer depends on. The generation and the epoch are those at the
// start of the call: a later policy has other keys, and so nothing has to be emptied or compared.
type key struct {
	generation uint64
	epoch      uint64
	kind       Kind
	model      string
	direction  Direction
	content    [32]byte // SHA-256
}

// flight is a call under way, shared by all who ask the same. Its result is set before done is
// closed, and never after.
type flight struct {
	done   chan struct{}
	answer answer
	err    error
}

// errAbandoned ends a flight whose leader's caller went away. Those who waited for it try themselves.
var errAbandoned = errors.New("the caller that asked went away")

// verdicts keeps answers, and joins identical questions. It is not singleflight: there, either those
// who wait cannot leave, or the call runs on a goroutine that nobody joins. Here whoever comes first
// makes the call himself; if he leaves, one of those who wait makes it again.
type verdicts struct {
	epoch atomic.Uint64
	kept  *ttlcache.Cache[key, answer] // without its janitor: what has expired is dropped at the next put

	mu      sync.Mutex
	flights map[key]*flight // guarded by mu
}

func newVerdicts(ttl time.Duration, entries int) *verdicts {
	return &verdicts{
		kept: ttlcache.New(
			ttlcache.WithTTL[key, answer](ttl),
			ttlcache.WithCapacity[key, answer](uint64(entries)),
			ttlcache.WithDisableTouchOnHit[key, answer](),
		),
		flights: map[key]*flight{},
	}
}

// invalidate makes every answer kept so far a miss, and every call under way fill nothing.
func (v *verdicts) invalidate() { v.epoch.Add(1) }

// join gives the answer that is kept (hit), or the flight to wait for, or a flight to lead: the
// leader must call finish.
func (v *verdicts) join(k key) (a answer, f *flight, lead bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	// A leader keeps its answer before it leaves flights, so that nobody can miss both.
	if item := v.kept.Get(k); item != nil {
		return item.Value(), nil, false
	}
	if f, ok := v.flights[k]; ok {
		return answer{}, f, false
	}
	f = &flight{done: make(chan struct{}), err: errAbandoned}
	v.flights[k] = f
	return answer{}, f, true
}

// finish gives those who wait what came of a flight, and keeps it if it is an answer.
func (v *verdicts) finish(k key, f *flight, a answer, err error) {
	v.mu.Lock()
	if err == nil && v.epoch.Load() == k.epoch { // of an epoch that is over it would only take another's place
		v.kept.DeleteExpired()
		v.kept.Set(k, a, ttlcache.DefaultTTL)
	}
	delete(v.flights, k)
	v.mu.Unlock()
	f.answer, f.err = a, err
	close(f.done)
}
