package events

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Run waits until ctx ends, then ends every stream, so that a draining server does not wait for its readers.
// Later readers are refused. Call it once.
func (h *Hub) Run(ctx context.Context) error {
	<-ctx.Done()
	close(h.ended)
	return nil
}

// ServeHTTP answers GET /policy/events with a stream that lasts until the reader leaves or is too slow, or Run
// ends. It resumes after the id in the header Last-Event-ID, else in the query parameter last_event_id. It
// answers 503 if the maximum number of streams is open.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	// The server's read timeout would end the stream. The server sets it again for the next request.
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})); err != nil {
		refuse(w, http.StatusInternalServerError, "events cannot be streamed over this connection")
		return
	}
	select {
	case h.streams <- struct{}{}:
		defer func() { <-h.streams }()
	default:
		refuse(w, http.StatusServiceUnavailable, "too many event streams")
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
	w.Header().Set("X-Accel-Buffering", "no") // keeps proxies from buffering the stream
	if r.Method == http.MethodHead {
		return
	}
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = r.URL.Query().Get("last_event_id")
	}
	h.stream(r.Context(), w, control, id)
}

// stream sends events until the reader or the hub ends.
func (h *Hub) stream(ctx context.Context, w http.ResponseWriter, control *http.ResponseController, id string) {
	silence := time.NewTimer(h.cfg.Heartbeat)
	defer silence.Stop()
	at, next := h.resume(id)
	for {
		frames, newest, changed := h.since(at)
		next = append(next, frames...)
		if len(next) > 0 {
			if err := h.send(w, control, next); err != nil {
				return // the reader has left or is too slow
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

// send writes and flushes frames within WriteTimeout.
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
	return control.SetWriteDeadline(time.Time{}) // HTTP/2 resets a stream when its deadline passes, also without a write
}

func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "5")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"error\":%q}\n", reason)
}
