package console

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/api"
)

// a visit of a session, and what ends it.
func visitOf(t *testing.T, c *Console, s *session) (*visit, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/console/", nil)
	return &visit{console: c, w: httptest.NewRecorder(), r: r, session: s}, cancel
}

func newSession() *session { return &session{expires: time.Now().Add(time.Hour)} }

// consoleOver is a console whose API does what a function does.
func consoleOver(t *testing.T, do http.HandlerFunc) *Console {
	t.Helper()
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	c.Mount(api.Inside{API: do})
	return c
}

// Work that takes long keeps no page waiting, and ends when its browser has gone.
func TestLongWorkHasAPlaceOfItsOwn(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	c := consoleOver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("with") {
			begun <- struct{}{}
			<-r.Context().Done()
			ended <- struct{}{}
		}
		_, _ = w.Write([]byte("{}"))
	})
	compare := inRoom(func(v *visit) error { return v.getLong("/policy/diff", map[string][]string{"with": {"replay"}}, nil) })
	who := newSession()
	first, closeFirst := visitOf(t, c, who)
	done := make(chan error, 2)
	go func() { done <- compare(first) }()
	<-begun

	second, closeSecond := visitOf(t, c, who)
	closeSecond() // it waits, and its browser goes
	if err := compare(second); err == nil {
		t.Error("two at once")
	}
	for range 2 * pagesAtOnce {
		page, leave := visitOf(t, c, who)
		if err := inRoom(func(v *visit) error { return v.get("/policy/status", nil, nil) })(page); err != nil {
			t.Error(err)
		}
		leave()
	}
	closeFirst()
	<-ended
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(begun) != 0 {
		t.Error("what waited was begun")
	}
}

// However much one session asks for, a page of another session is the next but those that are being made.
func TestNoSessionKeepsThePagesOfOthersWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(pagesAtOnce, pagesOfOne)
		greedy, other, third := newSession(), newSession(), newSession()
		entered := make(chan string, 1000)
		goIn := func(name string, of *session) {
			go func() {
				if r.enter(t.Context(), of) == nil {
					entered <- name
				}
			}()
			synctest.Wait()
		}
		all := func() (names string) {
			synctest.Wait()
			for len(entered) > 0 {
				names += <-entered
			}
			return names
		}
		for range 50 {
			goIn("g", greedy)
		}
		if got := all(); got != strings.Repeat("g", pagesOfOne) {
			t.Fatalf("one session has %s", got)
		}
		for range 3 {
			goIn("o", other)
		}
		goIn("t", third)
		if got := all(); got != "oo" {
			t.Fatalf("then came %s", got)
		}
		for i, want := range []string{"t", "g", "o", "g", "g"} { // who has the fewest, and then who waited longest
			leaves := []*session{greedy, greedy, other, greedy, greedy}[i]
			r.leave(leaves)
			if got := all(); got != want {
				t.Errorf("when %d had left came %q, want %q", i+1, got, want)
			}
		}
		if r.taken != pagesAtOnce {
			t.Errorf("%d are in", r.taken)
		}
	})
}

// Who comes again and again does not go before who waits.
func TestPlacesAreGivenInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(1, 1)
		a, b := newSession(), newSession()
		if !r.tryToEnter(a) {
			t.Fatal("an empty room is full")
		}
		order := make(chan string, 10)
		for name, s := range map[string]*session{"a1": a, "a2": a, "a3": a} {
			go func() {
				if r.enter(t.Context(), s) == nil {
					order <- name
				}
			}()
		}
		synctest.Wait()
		go func() {
			if r.enter(t.Context(), b) == nil {
				order <- "b"
			}
		}()
		synctest.Wait()
		r.leave(a)
		if got := <-order; got != "b" {
			t.Errorf("%s came before b", got)
		}
		for range 3 {
			r.leave(map[bool]*session{true: b, false: a}[r.guests[b] != nil && r.guests[b].within == 1])
			<-order
		}
		r.leave(a)
		if len(r.guests) != 0 || r.taken != 0 || len(r.waiting) != 0 {
			t.Errorf("an empty room has %+v", r)
		}
	})
}

// Who gives up waiting takes no place, whenever that is, and too many of one session do not wait.
func TestWhoLeavesTheQueueTakesNoPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(1, 1)
		s := newSession()
		r.tryToEnter(s)
		ctx, leave := context.WithCancel(t.Context())
		for range waitingOfOne {
			go func() {
				if r.enter(ctx, s) == nil {
					r.leave(s)
				}
			}()
		}
		synctest.Wait()
		if answer := (&answerError{}); !errors.As(r.enter(ctx, s), &answer) || answer.Status != http.StatusServiceUnavailable {
			t.Error("there is no bound")
		}
		go leave() // at the same time
		r.leave(s)
		synctest.Wait()
		if len(r.guests) != 0 || r.taken != 0 || len(r.waiting) != 0 {
			t.Errorf("an empty room has %+v", r)
		}
	})
}

// slowReader is a browser that does not read until it is let.
type slowReader struct {
	*httptest.ResponseRecorder

	sends, reads chan struct{}
}

func (w slowReader) Write(p []byte) (int, error) {
	close(w.sends)
	<-w.reads
	return w.ResponseRecorder.Write(p)
}

// A page is made in the room, its text, too, and sent outside of it.
func TestABrowserThatReadsSlowlyTakesNoPlace(t *testing.T) {
	t.Parallel()
	var c *Console
	within := 0
	c = consoleOver(t, func(w http.ResponseWriter, _ *http.Request) {
		within = c.made.taken
		_, _ = w.Write([]byte("{}"))
	})
	v, leave := visitOf(t, c, newSession())
	defer leave()
	w := slowReader{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	v.w = w
	done := make(chan error)
	go func() { done <- inRoom(c.fleet)(v) }()
	<-w.sends
	c.made.mu.Lock()
	if within != 1 || v.within {
		t.Errorf("while it is made %d places are taken; it is sent in one: %t", within, v.within)
	}
	c.made.mu.Unlock()
	close(w.reads)
	if err := <-done; err != nil || !strings.Contains(w.Body.String(), "</html>") {
		t.Error(err, w.Body)
	}
}

func TestPagesThatChangeByThemselvesAreBounded(t *testing.T) {
	t.Parallel()
	c := consoleOver(t, func(http.ResponseWriter, *http.Request) {})
	first, second, third := newSession(), newSession(), newSession()
	for range streamsOfOne {
		if !c.streams.tryToEnter(first) {
			t.Fatal("too few")
		}
	}
	if c.streams.tryToEnter(first) {
		t.Error("one session has all")
	}
	for range streamsAtOnce - streamsOfOne {
		if !c.streams.tryToEnter(second) {
			t.Fatal("too few")
		}
	}
	v, leave := visitOf(t, c, third)
	defer leave()
	if err := c.events(v); err == nil || !strings.Contains(err.Error(), "load this one again") {
		t.Error(err)
	}
	c.streams.leave(first)
	if !c.streams.tryToEnter(third) {
		t.Error("a place that was left is not free")
	}
}
