package console

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"defenseclaw/api"
)

// How much is done for all browsers together, so that decisions and the page Now wait for none of it.
const (
	// pagesAtOnce bounds how many pages are made at the same time. Most of the work of one is that of the API.
	pagesAtOnce = 4
	// workAtOnce bounds what may take long, such as replaying recorded decisions. It is apart from pages, which do not wait
	// for it.
	workAtOnce = 1
	// streamsAtOnce bounds the pages that change by themselves. Further ones show the same when they are loaded again.
	streamsAtOnce = 100
)

// room lets few in at a time.
type room chan struct{}

// enter waits until there is a place, or ctx ends.
func (r room) enter(ctx context.Context) error {
	select {
	case r <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryToEnter reports whether there was a place.
func (r room) tryToEnter() bool {
	select {
	case r <- struct{}{}:
		return true
	default:
		return false
	}
}

func (r room) leave() { <-r }

// getLong asks the API for what may take long. It ends with the browser's request, or the session. A browser that wants to
// know how far it is gets events: `progress`, and then `result` with the part of the page that it asked for, or `failed`.
func (v *visit) getLong(path string, query url.Values, into any) (err error) {
	ctx, stop := until(v.r.Context(), v.session.ended, v.session.expires.Sub(v.console.cfg.Now()))
	defer stop()
	call := func(ctx context.Context) {
		within := *v
		within.r = v.r.WithContext(ctx)
		_, err = within.callIn(v.console.work, http.MethodGet, path+"?"+query.Encode(), nil, into)
	}
	if !api.WantsProgress(v.r) {
		call(ctx)
		return err
	}
	if !v.console.streams.tryToEnter() {
		return &answerError{Path: path, Status: http.StatusServiceUnavailable, Message: "too many pages are open that change by themselves: try again later"}
	}
	defer v.console.streams.leave()
	v.stream = api.BeginWork(v.w)
	v.stream.Do(ctx, func(p api.Progress) any { return progressOf(p) }, call)
	return err
}

// progress is what the page shows of work.
type progress struct {
	Text  string `json:"text"`  // what is being done: it changes seldom
	Count string `json:"count"` // how much of it, or for how long
	Done  int    `json:"done"`
	Total int    `json:"total"` // 0: not known
}

func progressOf(p api.Progress) progress {
	shown := progress{Done: p.Done, Total: p.Total, Count: (time.Duration(p.Elapsed) * time.Millisecond).Round(time.Second).String()}
	switch p.Step {
	case "load":
		shown.Text = "Both policies are loaded…"
	case "replay":
		shown.Text = "Recorded decisions are tried on both…"
	case "probe":
		shown.Text = "Inputs are looked for that nobody recorded…"
	case "coverage":
		shown.Text = "The recorded decisions are made again, to see which lines they reach…"
	default:
		shown.Text = "This waits for other work…"
	}
	if p.Total > 0 {
		shown.Count = strconv.Itoa(p.Done) + " of " + strconv.Itoa(p.Total) + ", " + shown.Count
	}
	return shown
}
