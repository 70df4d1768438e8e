// Package events streams the lifecycle events of the policy to the readers of GET /policy/events, as
// server-sent events.
//
// Most callers need [New], [Hub.Publish] and the Hub as the route's handler; [Hub.Run] ends the streams
// when the sidecar stops. The newest events are kept: a reader that reconnects with the id of its last event
// gets the later ones. If some are no longer kept, it gets an event named gap first, and should read
// GET /policy/status again. The hub keeps no state per reader and does not wait for one: Publish costs the
// same with no reader and with a slow one.
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

// Event is one lifecycle event.
type Event struct {
	ID         uint64         `json:"-"` // set by Publish, from 1
	Time       time.Time      `json:"time"`
	Subsystem  string         `json:"subsystem"`
	Transition string         `json:"transition"`
	Details    map[string]any `json:"details"`
}

// Config configures [New]. Zero fields mean the defaults given.
type Config struct {
	Keep         int           // number of newest events to keep; default 1024
	Streams      int           // maximum number of concurrent readers; one more ends an old stream; default 64
	Heartbeat    time.Duration // maximum time without data on a stream; default 15 s
	WriteTimeout time.Duration // a reader whose write takes longer is disconnected; default 5 s
}

// Hub keeps the newest events and streams them. All methods are safe for concurrent use.
type Hub struct {
	cfg   Config
	run   string        // prefix of every id, which distinguishes the runs of the sidecar
	ended chan struct{} // closed when Run ends

	mu      sync.Mutex    // guards the fields below
	streams []*stream     // open, oldest first
	kept    [][]byte      // ring buffer: the encoded event n is at n modulo the length
	newest  uint64        // number of the newest event; 0 before the first
	changed chan struct{} // closed and replaced when newest grows
}

// New makes a hub without events.
func New(cfg Config) (*Hub, error) {
	if cfg.Keep < 0 || cfg.Streams < 0 || cfg.Heartbeat < 0 || cfg.WriteTimeout < 0 {
		return nil, errors.New("events: a field of Config is negative")
	}
	cfg.Keep, cfg.Streams = cmp.Or(cfg.Keep, 1024), cmp.Or(cfg.Streams, 64)
	cfg.Heartbeat, cfg.WriteTimeout = cmp.Or(cfg.Heartbeat, 15*time.Second), cmp.Or(cfg.WriteTimeout, 5*time.Second)
	return &Hub{
		cfg: cfg, run: rand.Text()[:runLetters], kept: make([][]byte, cfg.Keep), ended: make(chan struct{}), changed: make(chan struct{}),
	}, nil
}

// Publish sends e to every reader and returns it with its ID and, if it had none, its Time. It never waits
// for a reader. Details that cannot be encoded as JSON are replaced by the error.
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
		data, _ = json.Marshal(e) // cannot fail: strings and a time only
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

// frame encodes an event. data must be one line.
func (h *Hub) frame(id uint64, name string, data []byte) []byte {
	return fmt.Appendf(nil, "id: %s-%d\nevent: %s\ndata: %s\n\n", h.run, id, name, data)
}

// before returns the number before the oldest kept event. The caller holds mu.
func (h *Hub) before() uint64 {
	return h.newest - min(h.newest, uint64(len(h.kept)))
}

// gap encodes the event for a reader that does not get all events since its last one: they are no longer kept
// (expired), or its id is of another run (restarted) or invalid (unknown). Its own id is that before the
// oldest kept event, so a reader that reconnects does not get it again. The caller holds mu.
func (h *Hub) gap(reason string, missed uint64) []byte {
	return h.frame(h.before(), "gap", fmt.Appendf(nil, `{"reason":%q,"missed":%d}`, reason, missed))
}

// resume returns the number after which a stream begins for a reader whose last event had this id, and the
// data to send first. Without an id the stream begins with the next event.
func (h *Hub) resume(id string) (after uint64, hello []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	run, n, ok := parseID(id)
	switch {
	case id == "":
		// An id without data: a reader that is disconnected before its first event reconnects with it.
		return h.newest, fmt.Appendf(nil, "retry: 2000\nid: %s-%d\n\n", h.run, h.newest)
	case ok && run != h.run:
		return h.before(), h.gap("restarted", 0)
	case !ok || n > h.newest:
		return h.before(), h.gap("unknown", 0)
	default:
		return n, []byte("retry: 2000\n\n")
	}
}

// since returns events after a number, the number of the last of them, and a channel that is closed when there
// are more. It stops at maxFrames, so that a reader which takes them slowly holds little memory.
func (h *Hub) since(after uint64) (frames []byte, last uint64, more <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if oldest := h.before(); after < oldest {
		frames, after = h.gap("expired", oldest-after), oldest
	}
	for ; after < h.newest && len(frames) < maxFrames; after++ {
		frames = append(frames, h.kept[(after+1)%uint64(len(h.kept))]...)
	}
	if after < h.newest {
		return frames, after, closed
	}
	return frames, after, h.changed
}

// maxFrames is after how many bytes of events a stream is sent them, before it gets more.
const maxFrames = 64 << 10

// closed is the channel of a stream that need not wait for more events.
var closed = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// runLetters is the length of a run's part of an id.
const runLetters = 8

// parseID parses an id of the form RUN-NUMBER, exactly as this package writes it.
func parseID(id string) (run string, n uint64, ok bool) {
	run, digits, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || len(run) != runLetters || strconv.FormatUint(n, 10) != digits {
		return "", 0, false
	}
	return run, n, strings.Trim(run, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
