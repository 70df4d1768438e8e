package console

import (
	"context"
	"net/http"
	"net/url"
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

// getLong asks the API for what may take long. It ends with the browser's request.
func (v *visit) getLong(path string, query url.Values, into any) error {
	_, err := v.callIn(v.console.work, http.MethodGet, path+"?"+query.Encode(), nil, into)
	return err
}
