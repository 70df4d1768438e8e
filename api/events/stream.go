package events

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Run ends every stream when ctx ends, so that a server which drains need not wait for readers that
// would stay for ever, and returns. Later readers are refused. To be called once.
func (h *Hub) Run(ctx context.Context) error {
	<-ctx.Done()
	close(h.ended)
	return nil
}

// ServeHTTP answers GET /policy/events with a stream that lasts until the reader goes, is too slow,
// or Run ends. It resumes after the id of the header Last-Event-ID or else of the query's
// last_event_id, and answers 503 when there are as many streams as there may be.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	// The server's time-out for reading a request would end the stream; it is for the next one again.
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})); err != nil {
		refuse(w, http.StatusInternalServerError, "events cannot be streamed over this connection")
		return
	}
	select {
	case h.streams <- struct{}{}:
		defer func() { <-h.streams }()
	default:
		refuse(w, http.StatusServiceUnavailable, "as many event streams are open as may be")
		return
	}
	select {
	case <-h.ended:
		refuse(w, http.StatusServiceUnavailable, "the sidecar is stopping")
		return
	default:
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // for proxies that would collect what is to be told at once
	if r.Method == http.MethodHead {
		return
	}
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = r.URL.Query().Get("last_event_id")
	}
	h.stream(r.Context(), w, control, id)
}

// stream sends what there is and waits for more.
func (h *Hub) stream(ctx context.Context, w http.ResponseWriter, control *http.ResponseController, id string) {
	silence := time.NewTimer(h.cfg.Heartbeat)
	defer silence.Stop()
	at, next := h.resume(id)
	for {
		frames, newest, changed := h.since(at)
		next = append(next, frames...)
		if len(next) > 0 {
			if err := h.send(w, control, next); err != nil {
				return // the reader is gone, or too slow
			}
			silence.Reset(h.cfg.Heartbeat)
		}
		at, next = newest, nil
		select {
		case <-changed:
		case <-silence.C:
			next = []byte(": still here\n\n")
		case <-ctx.Done():
			return
		case <-h.ended:
			return
		}
	}
}

// send writes at once, within the time that a reader has.
func (h *Hub) send(w http.ResponseWriter, control *http.ResponseController, frames []byte) error {
	if err := control.SetWriteDeadline(time.Now().Add(h.cfg.WriteTimeout)); err != nil {
		return err
	}
	if _, err := w.Write(frames); err != nil {
		return err
	}
	if err := control.Flush(); err != nil {
		return err
	}
	return control.SetWriteDeadline(time.Time{}) // HTTP/2 resets a stream whose deadline passes in silence
}

func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "5")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"error\":%q}\n", reason)
}
