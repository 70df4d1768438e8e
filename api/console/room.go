package console

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// How much is done for all browsers together, so that decisions and the page Now wait for none of it. Nobody's share of it is
// all: a session that asks for a thousand pages keeps those of the others waiting for one.
const (
	// pagesAtOnce bounds how many pages are made at the same time, and pagesOfOne those of one session. Few of them compute at
	// the same time: see [processorsOf].
	pagesAtOnce, pagesOfOne = 4, 2
	// restOfPage is how long a place stays empty after a page, in times that the page took, and maxRest bounds it. However many
	// pages are asked for, decisions have most of the processors.
	restOfPage, maxRest = 7, 100 * time.Millisecond
	// workAtOnce bounds what may take long, such as replaying recorded decisions. It is apart from pages, which do not wait
	// for it.
	workAtOnce = 1
	// streamsAtOnce bounds the pages that change by themselves, and streamsOfOne those of one session. Further ones show the
	// same when they are loaded again.
	streamsAtOnce, streamsOfOne = 100, 50
	// waitingOfOne bounds what of one session waits for a place in a room.
	waitingOfOne = 100
)

// room lets few in at a time, and few of one session. A place that is left goes to the session that has the fewest, of those
// to the one that got its last place the longest ago, and within a session to who came first.
type room struct {
	places, ofOne int

	mu      sync.Mutex
	taken   int
	turn    uint64 // counts the places that were given
	guests  map[*session]*guest
	waiting []*waiter // in the order in which they came
}

// guest is a session that is in a room or waits for it, or did so since anybody began to wait.
type guest struct {
	within, waiting int
	last            uint64 // the turn of the last place that it got
}

type waiter struct {
	of    *session
	enter chan struct{} // closed when it has a place
}

func newRoom(places, ofOne int) *room {
	return &room{places: places, ofOne: ofOne, guests: map[*session]*guest{}}
}

// enter waits until there is a place, or ctx ends.
func (r *room) enter(ctx context.Context, of *session) error {
	r.mu.Lock()
	if r.take(of) {
		r.mu.Unlock()
		return nil
	}
	g := r.guest(of)
	if g.waiting == waitingOfOne {
		r.mu.Unlock()
		return tooMany("pages of this session wait: try again in a moment")
	}
	g.waiting++
	w := &waiter{of, make(chan struct{})}
	r.waiting = append(r.waiting, w)
	r.mu.Unlock()
	select {
	case <-w.enter:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := slices.Index(r.waiting, w); at >= 0 {
		r.waiting = slices.Delete(r.waiting, at, at+1)
		g.waiting--
		r.forget()
	} else { // it got a place at the same moment
		r.free(of)
	}
	return ctx.Err()
}

// leaveLater gives a place back after a while, in which nobody has it.
func (r *room) leaveLater(of *session, rest time.Duration) {
	time.AfterFunc(rest, func() { r.leave(of) })
}

// processorsOf is how many pages may compute at the same time: one of two processors is left to decisions.
func processorsOf(all int) int { return max(1, all/2) }

// tryToEnter reports whether there was a place.
func (r *room) tryToEnter(of *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.take(of)
}

// leave gives a place back.
func (r *room) leave(of *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free(of)
}

// The methods below need the lock.

func (r *room) guest(of *session) *guest {
	g := r.guests[of]
	if g == nil {
		g = &guest{}
		r.guests[of] = g
	}
	return g
}

// forget gives up the sessions that have left. While others wait it is known who had a place, so that nobody who comes again
// and again goes before them.
func (r *room) forget() {
	if len(r.waiting) == 0 {
		maps.DeleteFunc(r.guests, func(_ *session, g *guest) bool { return g.within == 0 })
	}
}

// take takes a place, if there is one for the session. Where there is, nobody waits who could have it.
func (r *room) take(of *session) bool {
	if g := r.guests[of]; r.taken == r.places || g != nil && g.within == r.ofOne {
		return false
	}
	g := r.guest(of)
	r.taken++
	r.turn++
	g.within++
	g.last = r.turn
	return true
}

// free gives a place back, and to the one whose turn it is.
func (r *room) free(of *session) {
	r.taken--
	r.guests[of].within--
	next := -1
	for i, w := range r.waiting {
		g := r.guests[w.of]
		if g.within == r.ofOne {
			continue
		}
		if next < 0 || g.before(r.guests[r.waiting[next].of]) {
			next = i
		}
	}
	if next >= 0 {
		w := r.waiting[next]
		r.waiting = slices.Delete(r.waiting, next, next+1)
		r.guests[w.of].waiting--
		r.take(w.of)
		close(w.enter)
	}
	r.forget()
}

// before reports whether it is a session's turn before that of another.
func (g *guest) before(other *guest) bool {
	if g.within != other.within {
		return g.within < other.within
	}
	return g.last < other.last
}

// inRoom has a page made in its room.
func inRoom(show page) page {
	return func(v *visit) error {
		if err := v.inRoom(); err != nil {
			return err
		}
		defer v.outOfRoom()
		return show(v)
	}
}

// inRoom begins what is done in the room of pages, until outOfRoom. What may take long is no part of it, nor is what is sent: a
// browser that reads slowly takes nobody's place.
func (v *visit) inRoom() error {
	if v.within {
		return nil
	}
	if err := v.console.made.enter(v.r.Context(), v.session); err != nil {
		return err
	}
	v.within, v.entered = true, time.Now()
	return nil
}

func (v *visit) outOfRoom() {
	if v.within {
		v.within = false
		v.console.made.leaveLater(v.session, min(restOfPage*time.Since(v.entered), maxRest))
	}
}

// computing does what takes a processor, as few pages do at the same time.
func (v *visit) computing(do func()) error {
	select {
	case v.console.processors <- struct{}{}:
	case <-v.r.Context().Done():
		return v.r.Context().Err()
	}
	defer func() { <-v.console.processors }()
	do()
	return nil
}

// tooMany is the answer where a bound is reached.
func tooMany(what string) error {
	return &answerError{Path: "console", Status: http.StatusServiceUnavailable, Message: "too many " + what}
}

// events passes the stream of events on, as long as the session lasts.
func (c *Console) events(v *visit) error {
	if !c.streams.tryToEnter(v.session) {
		v.w.Header().Set("Retry-After", "30")
		return tooMany("pages are open that change by themselves: load this one again to see what is new")
	}
	defer c.streams.leave(v.session)
	r, err := v.request(http.MethodGet, "/policy/events", nil)
	if err != nil {
		return err
	}
	ctx, stop := until(r.Context(), v.session.ended, v.session.expires.Sub(c.cfg.Now()))
	defer stop()
	c.inside.API.ServeHTTP(v.w, r.WithContext(ctx))
	return nil
}
