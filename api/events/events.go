// Package events tells what becomes of the policy to whoever watches: each lifecycle event goes to
// every reader of GET /policy/events, as server-sent events.
//
// Most callers need [New], [Hub.Publish] and the Hub as the route's handler; [Hub.Run] ends the
// streams with the sidecar. The newest events are kept, and a reader that comes back with the id of
// the last one it saw is told the rest; one that missed some is told so by an event named gap, and
// should read GET /policy/status again. Nothing is kept per reader and none is waited for: Publish
// costs the same for no reader and for a slow one.
package events

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Event is one thing that happened.
type Event struct {
	ID         uint64         `json:"-"` // set by Publish: 1, 2, 3…
	Time       time.Time      `json:"time"`
	Subsystem  string         `json:"subsystem"`
	Transition string         `json:"transition"`
	Details    map[string]any `json:"details"`
}

// Config says how events are kept and told. Zero fields mean the defaults given.
type Config struct {
	Keep         int           // how many of the newest events; default 1024
	Streams      int           // how many readers at once, each further one is refused; default 64
	Heartbeat    time.Duration // how long a stream may be silent; default 15 s
	WriteTimeout time.Duration // a reader that takes longer to take what it is sent is dropped; the end waits for it as long; default 5 s
}

// Hub keeps the newest events and tells them. All methods are safe for concurrent use.
type Hub struct {
	cfg     Config
	run     string        // begins every id, so that those of another run are not taken for ours
	streams chan struct{} // holds one for each stream
	ended   chan struct{} // closed when Run ends

	mu      sync.Mutex
	kept    [][]byte      // event n, as it is sent, is at n modulo the length
	newest  uint64        // number of the newest event; 0 before the first
	changed chan struct{} // closed, and replaced, when newest grows
}

// New makes a hub without events.
func New(cfg Config) (*Hub, error) {
	if cfg.Keep < 0 || cfg.Streams < 0 || cfg.Heartbeat < 0 || cfg.WriteTimeout < 0 {
		return nil, errors.New("events: a field of Config is negative")
	}
	cfg.Keep, cfg.Streams = cmp.Or(cfg.Keep, 1024), cmp.Or(cfg.Streams, 64)
	cfg.Heartbeat, cfg.WriteTimeout = cmp.Or(cfg.Heartbeat, 15*time.Second), cmp.Or(cfg.WriteTimeout, 5*time.Second)
	return &Hub{
		cfg: cfg, run: rand.Text()[:runLetters], kept: make([][]byte, cfg.Keep), streams: make(chan struct{}, cfg.Streams),
		ended: make(chan struct{}), changed: make(chan struct{}),
	}, nil
}

// Publish tells e to every reader and returns it with its ID, and with its Time where it had none. It
// never waits for a reader. Details that JSON cannot express are replaced by the reason.
func (h *Hub) Publish(e Event) Event {
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	data, err := json.Marshal(e)
	if err != nil {
		e.Details = map[string]any{"encoding_error": err.Error()}
		data, _ = json.Marshal(e) // nothing is left in it that can be refused
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.newest++
	e.ID = h.newest
	h.kept[h.newest%uint64(len(h.kept))] = h.frame(e.ID, "lifecycle", data)
	close(h.changed)
	h.changed = make(chan struct{})
	return e
}

// frame is an event in the wire format; data is one line.
func (h *Hub) frame(id uint64, name string, data []byte) []byte {
	return fmt.Appendf(nil, "id: %s-%d\nevent: %s\ndata: %s\n\n", h.run, id, name, data)
}

// before is the number before that of the oldest event that is kept. The caller holds mu.
func (h *Hub) before() uint64 {
	return h.newest - min(h.newest, uint64(len(h.kept)))
}

// gap tells that a reader does not get all that came after the last event it saw: because that is no
// longer kept (expired), or the id is of another run (restarted) or none of ours (unknown). It has the
// id of the event before the oldest one kept, so that it is told once. The caller holds mu.
func (h *Hub) gap(reason string, missed uint64) []byte {
	return h.frame(h.before(), "gap", fmt.Appendf(nil, `{"reason":%q,"missed":%d}`, reason, missed))
}

// resume is where a stream begins for a reader whose last event had that id: after which number, and
// what to tell first. Without an id it begins with what happens next.
func (h *Hub) resume(id string) (after uint64, hello []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	run, n, ok := parseID(id)
	switch {
	case id == "":
		// An id without data: a reader that is cut off before the first event comes back with it.
		return h.newest, fmt.Appendf(nil, "retry: 2000\nid: %s-%d\n\n", h.run, h.newest)
	case ok && run != h.run:
		return h.before(), h.gap("restarted", 0)
	case !ok || n > h.newest:
		return h.before(), h.gap("unknown", 0)
	default:
		return n, []byte("retry: 2000\n\n")
	}
}

// since gives what a reader has yet to be sent, the number that it then is at, and what is closed
// when there is more.
func (h *Hub) since(after uint64) (frames []byte, newest uint64, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if oldest := h.before(); after < oldest {
		frames, after = h.gap("expired", oldest-after), oldest
	}
	for n := after + 1; n <= h.newest; n++ {
		frames = append(frames, h.kept[n%uint64(len(h.kept))]...)
	}
	return frames, h.newest, h.changed
}

// runLetters is how long a run's part of an id is.
const runLetters = 8

// parseID takes apart an id of the form RUN-NUMBER, as this package writes it and in no other.
func parseID(id string) (run string, n uint64, ok bool) {
	run, digits, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || len(run) != runLetters || strconv.FormatUint(n, 10) != digits {
		return "", 0, false
	}
	return run, n, strings.Trim(run, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
