package worker

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"defenseclaw/engine"

	"github.com/jellydator/ttlcache/v3"
)

// ErrRefused is wrapped if an input has ended [maxEnds] processes.
var ErrRefused = errors.New("the input is refused")

const (
	maxEnds     = 3               // processes that an input may end before it is refused
	refusedFor  = 5 * time.Minute // since the last of these ends
	maxSuspects = 1024            // beyond that, the least recently added is forgotten
)

// suspects counts, by what was asked, the processes that were evaluating it when they ended. Safe for concurrent use.
type suspects struct {
	ends *ttlcache.Cache[key, int]
}

func newSuspects() suspects {
	return suspects{ttlcache.New(
		ttlcache.WithTTL[key, int](refusedFor), ttlcache.WithCapacity[key, int](maxSuspects),
		ttlcache.WithDisableTouchOnHit[key, int](),
	)}
}

// check reports whether what q asks is a suspect. The error is that it is refused.
func (s suspects) check(q *Question) (suspect bool, err error) {
	if s.ends.Len() == 0 { // the usual way hashes nothing
		return false, nil
	}
	item := s.ends.Get(q.key())
	if item == nil {
		return false, nil
	}
	if item.Value() < maxEnds {
		return true, nil
	}
	return true, &engine.Unavailable{After: time.Until(item.ExpiresAt()), Err: fmt.Errorf(
		"%w until %s: it ended the process that evaluated it %d times", ErrRefused, item.ExpiresAt().UTC().Format(time.RFC3339), item.Value())}
}

// add counts one more end.
func (s suspects) add(k key) int {
	ends := 1
	if item := s.ends.Get(k); item != nil {
		ends += item.Value()
	}
	s.ends.Set(k, ends, ttlcache.DefaultTTL)
	return ends
}

// clear forgets what did not end the process that evaluated nothing else.
func (s suspects) clear(k key) { s.ends.Delete(k) }

// key is computed where it is needed only.
func (q *Question) key() key {
	k, h := key{}, sha256.New()
	if r := q.Request; r != nil {
		at, query, _ := strings.Cut(r.URL, "?")
		k.Path = at
		h.Write([]byte(r.Method + "\n" + query + "\n"))
		h.Write(r.Body)
	}
	if d := q.Decision; d != nil {
		k.Path = engine.Path(d.Path).String()
		h.Write(d.Input)
	}
	h.Sum(k.Hash[:0])
	return k
}
