package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"maps"
	"sync"
	"time"

	"defenseclaw/api/gate"
)

const (
	codeLife    = time.Minute
	sessionLife = 8 * time.Hour
	maxCodes    = 100  // that wait to be used
	maxSessions = 1000 // far more than there are operators

	// What one token may have of them. Its next one ends its oldest, so that nobody takes the places of all others.
	codesOfOne    = 10
	sessionsOfOne = 50
)

// session is a browser that was let in.
type session struct {
	caller  gate.Caller
	form    string // the value that its forms send
	expires time.Time
	ended   chan struct{} // closed with the session, for what streams
}

// key is what is kept of a secret: reading the memory of the map gives none away, and its order cannot be probed.
type key [sha256.Size]byte

func keyOf(secret string) key { return sha256.Sum256([]byte(secret)) }

// sessions are the codes and sessions of one process.
type sessions struct {
	mu    sync.Mutex
	codes map[key]code
	all   map[key]*session
	now   func() time.Time
}

type code struct {
	caller  gate.Caller
	expires time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{codes: map[key]code{}, all: map[key]*session{}, now: now}
}

var errTooMany = errors.New("too many browsers are signed in, or about to be: sign out, or wait a minute")

// newCode makes a code for a caller.
func (s *sessions) newCode(caller gate.Caller) (secret string, expires time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if first, n := oldest(s.codes, caller); n >= codesOfOne {
		delete(s.codes, first)
	}
	if len(s.codes) >= maxCodes {
		return "", time.Time{}, errTooMany
	}
	secret, expires = rand.Text(), s.now().Add(codeLife)
	s.codes[keyOf(secret)] = code{caller, expires}
	return secret, expires, nil
}

// useCode returns the caller for whom a code was made. The code is used up.
func (s *sessions) useCode(secret string) (gate.Caller, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.codes[keyOf(secret)]
	delete(s.codes, keyOf(secret))
	return c.caller, ok && s.now().Before(c.expires)
}

// begin makes a session. The secret is for the browser's cookie.
func (s *sessions) begin(caller gate.Caller) (secret string, _ *session, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if first, n := oldest(s.all, caller); n >= sessionsOfOne {
		s.endOf(first)
	}
	if len(s.all) >= maxSessions {
		return "", nil, errTooMany
	}
	secret = rand.Text()
	one := &session{caller: caller, form: rand.Text(), expires: s.now().Add(sessionLife), ended: make(chan struct{})}
	s.all[keyOf(secret)] = one
	return secret, one, nil
}

// find returns the session of a cookie; nil: there is none.
func (s *sessions) find(secret string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[keyOf(secret)]
	if one == nil || !s.now().Before(one.expires) {
		return nil
	}
	return one
}

// end ends the session of a cookie, and what it streams.
func (s *sessions) end(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endOf(keyOf(secret))
}

// endOf needs the lock.
func (s *sessions) endOf(k key) {
	if one := s.all[k]; one != nil {
		close(one.ended)
		delete(s.all, k)
	}
}

// oldest finds the one of a caller that expires first, and how many he has.
func oldest[T interface {
	of() (gate.Caller, time.Time)
}](all map[key]T, caller gate.Caller) (first key, n int) {
	var soonest time.Time
	for k, one := range all {
		owner, expires := one.of()
		if owner.Name != caller.Name || owner.User != caller.User {
			continue
		}
		if n++; n == 1 || expires.Before(soonest) {
			first, soonest = k, expires
		}
	}
	return first, n
}

func (s *session) of() (gate.Caller, time.Time) { return s.caller, s.expires }
func (c code) of() (gate.Caller, time.Time)     { return c.caller, c.expires }

// sweep forgets what has expired.
func (s *sessions) sweep() {
	now := s.now()
	maps.DeleteFunc(s.codes, func(_ key, c code) bool { return !now.Before(c.expires) })
	maps.DeleteFunc(s.all, func(_ key, one *session) bool {
		over := !now.Before(one.expires)
		if over {
			close(one.ended)
		}
		return over
	})
}

// sent reports whether a form value is that of the session.
func (s *session) sent(value string) bool {
	return subtle.ConstantTimeCompare([]byte(value), []byte(s.form)) == 1
}

// until returns a context that ends with a session, too, which lasts for at most left.
func until(ctx context.Context, ended <-chan struct{}, left time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, left)
	go func() {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
