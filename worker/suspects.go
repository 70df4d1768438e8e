package worker

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"defenseclaw/engine"
	"defenseclaw/worker/child"
)

// ErrRefused is wrapped if an input has ended [child.MaxEnds] processes.
var ErrRefused = errors.New("the input is refused")

// check reports whether what q asks is a suspect. The error is that it is refused.
func (p *Pool) check(q *Question) (suspect bool, err error) {
	if p.suspects.Len() == 0 { // the usual way hashes nothing
		return false, nil
	}
	ends, until := p.suspects.Ends(q.key())
	if ends < child.MaxEnds {
		return ends > 0, nil
	}
	return true, &engine.Unavailable{After: time.Until(until), Err: fmt.Errorf(
		"%w until %s: it ended the process that evaluated it %d times", ErrRefused, until.UTC().Format(time.RFC3339), ends)}
}

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
