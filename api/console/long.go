package console

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"defenseclaw/api"
)

// getLong asks the API for what may take long. It ends with the browser's request, or the session. A browser that wants to
// know how far it is gets events: `progress`, and then `result` with the part of the page that it asked for, or `failed`.
func (v *visit) getLong(path string, query url.Values, into any) (err error) {
	ctx, stop := until(v.r.Context(), v.session.ended, v.session.expires.Sub(v.console.cfg.Now()))
	defer stop()
	v.outOfRoom() // other pages do not wait for it
	call := func(ctx context.Context) {
		if err = v.console.work.enter(ctx, v.session); err != nil {
			return
		}
		defer v.console.work.leave(v.session)
		within := *v
		within.r = v.r.WithContext(ctx)
		err = within.getLoaded(path, query, into)
	}
	if !api.WantsProgress(v.r) {
		call(ctx)
		return errors.Join(err, v.inRoom())
	}
	if !v.console.streams.tryToEnter(v.session) {
		return tooMany("pages are open that change by themselves: try again later")
	}
	defer v.console.streams.leave(v.session)
	v.stream = api.BeginWork(v.w)
	v.stream.Do(ctx, func(p api.Progress) any { return progressOf(p) }, call)
	return errors.Join(err, v.inRoom())
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
