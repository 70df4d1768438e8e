package events

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"defenseclaw/api/internal/remote"
)

// Run waits until ctx ends, then ends every stream, so that a draining server does not wait for its readers.
// Later readers are refused. Call it once.
func (h *Hub) Run(ctx context.Context) error {
	<-ctx.Done()
	close(h.ended)
	return nil
}

// ServeHTTP answers GET /policy/events with a stream that lasts until the reader leaves or is too slow, or Run
// ends. It resumes after the id in the header Last-Event-ID, else in the query parameter last_event_id. If the
// maximum number of streams is open, it ends one of them: see enter.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	// The server's read timeout would end the stream. The server sets it again for the next request.
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})); err != nil {
		refuse(w, http.StatusInternalServerError, "events cannot be streamed over this connection")
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
	this := h.enter(callerOf(r))
	defer h.leave(this)
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = r.URL.Query().Get("last_event_id")
	}
	h.send(r.Context(), w, control, id, this)
}

// send sends events until the reader, the hub or the stream ends.
func (h *Hub) send(ctx context.Context, w http.ResponseWriter, control *http.ResponseController, id string, this *stream) {
	silence := time.NewTimer(h.cfg.Heartbeat)
	defer silence.Stop()
	at, next := h.resume(id)
	for {
		frames, newest, changed := h.since(at)
		next = append(next, frames...)
		if len(next) > 0 {
			if err := h.write(w, control, next); err != nil {
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
		case <-this.over:
			return
		}
	}
}

// stream is one reader's.
type stream struct {
	caller netip.Addr    // zero if it has no address, as over a Unix socket
	over   chan struct{} // closed when another reader needs its place
}

// enter adds a stream. If the maximum is open, the oldest stream of the caller that has most of them ends. Its
// reader misses nothing, since it may resume after its last event. So no caller takes the places of all others,
// and a reader among many at one address still gets a stream.
func (h *Hub) enter(caller netip.Addr) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.streams) >= h.cfg.Streams {
		i := h.mostStreams()
		close(h.streams[i].over)
		h.streams = slices.Delete(h.streams, i, i+1)
	}
	this := &stream{caller: caller, over: make(chan struct{})}
	h.streams = append(h.streams, this)
	return this
}

// mostStreams is the index of the oldest stream of the caller that has most. The caller holds mu.
func (h *Hub) mostStreams() int {
	count := map[netip.Addr]int{}
	for _, s := range h.streams {
		count[s.caller]++
	}
	best := 0
	for i, s := range h.streams {
		if count[s.caller] > count[h.streams[best].caller] {
			best = i
		}
	}
	return best
}

func (h *Hub) leave(this *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams = slices.DeleteFunc(h.streams, func(s *stream) bool { return s == this })
}

func callerOf(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return remote.Network(from.Addr()).Addr()
}

// write writes and flushes frames within WriteTimeout.
func (h *Hub) write(w http.ResponseWriter, control *http.ResponseController, frames []byte) error {
	if err := control.SetWriteDeadline(time.Now().Add(h.cfg.WriteTimeout)); err != nil {
		return err
	}
	for part := range slices.Chunk(frames, maxFrames/2) { // the server gives a larger write a deadline of its own
		if _, err := w.Write(part); err != nil {
			return err
		}
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
