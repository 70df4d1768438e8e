package child

import (
	"time"

	"github.com/jellydator/ttlcache/v3"
)

const (
	// MaxEnds is the number of processes that something may end before it is refused.
	MaxEnds = 3

	refusedFor  = 5 * time.Minute // since the last of these ends
	maxSuspects = 1024            // beyond that, the least recently added is forgotten
)

// Suspects counts, by what was asked, the processes that were busy with it when they ended. Safe for concurrent use.
type Suspects[K comparable] struct {
	ends *ttlcache.Cache[K, int]
}

// NewSuspects makes one that suspects nothing.
func NewSuspects[K comparable]() Suspects[K] {
	return Suspects[K]{ttlcache.New(
		ttlcache.WithTTL[K, int](refusedFor), ttlcache.WithCapacity[K, int](maxSuspects), ttlcache.WithDisableTouchOnHit[K, int](),
	)}
}

// Len is the number of suspects.
func (s Suspects[K]) Len() int { return s.ends.Len() }

// Ends is how many processes k has ended lately, and when that is forgotten. With [MaxEnds], it is to be refused until
// then.
func (s Suspects[K]) Ends(k K) (ends int, until time.Time) {
	item := s.ends.Get(k)
	if item == nil {
		return 0, time.Time{}
	}
	return item.Value(), item.ExpiresAt()
}

// Add counts one more end, and returns how many there are.
func (s Suspects[K]) Add(k K) int {
	ends, _ := s.Ends(k)
	s.ends.Set(k, ends+1, ttlcache.DefaultTTL)
	return ends + 1
}

// Clear forgets what did not end a process that did nothing else.
func (s Suspects[K]) Clear(k K) { s.ends.Delete(k) }
