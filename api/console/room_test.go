package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
)

// Work that takes long keeps no page waiting, and ends when its browser has gone.
func TestLongWorkHasAPlaceOfItsOwn(t *testing.T) {
	t.Parallel()
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	begun, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	c.Mount(api.Inside{API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("with") {
			begun <- struct{}{}
			<-r.Context().Done()
			ended <- struct{}{}
		}
		_, _ = w.Write([]byte("{}"))
	})})
	visitOf := func() (*visit, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/console/", nil)
		return &visit{console: c, w: httptest.NewRecorder(), r: r, session: &session{expires: time.Now().Add(time.Hour)}}, cancel
	}
	first, closeFirst := visitOf()
	done := make(chan error, 2)
	go func() { done <- first.getLong("/policy/diff", url.Values{"with": {"replay"}}, nil) }()
	<-begun

	second, closeSecond := visitOf()
	closeSecond() // it waits, and its browser goes
	if err := second.getLong("/policy/diff", url.Values{"with": {"replay"}}, nil); err == nil {
		t.Error("two at once")
	}
	for range 2 * pagesAtOnce {
		page, leave := visitOf()
		if err := page.get("/policy/status", nil, nil); err != nil {
			t.Error(err)
		}
		leave()
	}
	closeFirst()
	<-ended
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(begun) != 0 {
		t.Error("what waited was begun")
	}
}

func TestPagesThatChangeByThemselvesAreBounded(t *testing.T) {
	t.Parallel()
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range streamsAtOnce {
		if !c.streams.tryToEnter() {
			t.Fatal("too few")
		}
	}
	v := &visit{console: c, w: httptest.NewRecorder(), session: &session{}}
	if err := c.events(v); err == nil || !strings.Contains(err.Error(), "load this one again") {
		t.Error(err)
	}
	c.streams.leave()
	if !c.streams.tryToEnter() {
		t.Error("a place that was left is not free")
	}
}
