package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine/review/records"
)

// The actions of audit records about recorded decisions.
const (
	ActionRecordClear  = "policy-record-clear"
	ActionRecordExport = "policy-record-export"
)

// errNotRecorded is the answer where decisions are not recorded.
var errNotRecorded = &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "decisions are not recorded: record.enabled is false"}

// Recordings is a summary of the recorded decisions.
type Recordings struct {
	Records   int               `json:"records"`
	Strata    int               `json:"strata"` // kinds of decisions
	Bytes     int               `json:"bytes"`
	MaxBytes  int               `json:"max_bytes"`
	Dropped   map[string]uint64 `json:"dropped"`       // decisions that were chosen and are not recorded, by reason
	Dir       string            `json:"dir,omitempty"` // where they are kept over restarts; left out: in memory only
	Encrypted bool              `json:"encrypted,omitempty"`
	SavedAt   *time.Time        `json:"saved_at,omitempty"`
	Error     string            `json:"error,omitempty"`   // why the last save failed
	Damaged   string            `json:"damaged,omitempty"` // what became of a file that could not be read, until all is cleared
}

// RecordingsAnswer is the body of GET /policy/recordings.
type RecordingsAnswer struct {
	Recordings
	Seen  uint64          `json:"seen"`  // decisions that the records stand for
	Paths []RecordingPath `json:"paths"` // the most seen first, at most 100
	More  int             `json:"more_paths,omitempty"`
}

// RecordingPath is what is recorded of one path.
type RecordingPath struct {
	Path    string `json:"path"`
	Records int    `json:"records"`
	Strata  int    `json:"strata"`
	Seen    uint64 `json:"seen"`
}

// maxRecordingPaths bounds the paths of an answer.
const maxRecordingPaths = 100

func (s *Server) recordings() Recordings {
	r := s.cfg.Recorder
	h := r.Health()
	now := Recordings{
		Records: h.Records, Strata: h.Strata, Bytes: h.Bytes, MaxBytes: r.Bounds().Bytes, Dropped: map[string]uint64{},
		Dir: r.Dir(), Encrypted: r.Sealed(), SavedAt: OptionalTime(h.SavedAt), Damaged: h.Damaged,
	}
	maps.Copy(now.Dropped, h.Dropped)
	if h.Err != nil {
		now.Error = h.Err.Error()
	}
	return now
}

// answerRecordings is GET and DELETE /policy/recordings.
func (s *Server) answerRecordings(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Recorder == nil {
		return errNotRecorded
	}
	if r.Method == http.MethodDelete {
		if err := s.clearRecordings(r); err != nil {
			return err
		}
	}
	held := s.cfg.Recorder.Counts()
	answer := RecordingsAnswer{Recordings: s.recordings(), Seen: held.Seen, Paths: []RecordingPath{}}
	for path, n := range held.Paths {
		answer.Paths = append(answer.Paths, RecordingPath{Path: path, Records: n.Records, Strata: n.Strata, Seen: n.Seen})
	}
	slices.SortFunc(answer.Paths, func(a, b RecordingPath) int { return cmp.Or(cmp.Compare(b.Seen, a.Seen), cmp.Compare(a.Path, b.Path)) })
	if answer.More = len(answer.Paths) - maxRecordingPaths; answer.More > 0 {
		answer.Paths = answer.Paths[:maxRecordingPaths]
	}
	answer.More = max(answer.More, 0)
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) clearRecordings(r *http.Request) error {
	before := s.cfg.Recorder.Health()
	err := s.cfg.Recorder.Clear()
	record := audit.Record{
		Action: ActionRecordClear, Details: audit.JSON(map[string]any{"records": before.Records, "strata": before.Strata, "bytes": before.Bytes}),
	}
	if err != nil {
		record.Outcome, record.Message = audit.OutcomeFailed, err.Error()
	}
	return errors.Join(err, s.auditOrder(r, record))
}

// recordedEvents is GET /policy/recordings/events: the recorded decisions, masked, as events of OPA's decision log.
func (s *Server) recordedEvents(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Recorder == nil {
		return errNotRecorded
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", eventsType)
		return nil
	}
	held, err := s.cfg.Recorder.Snapshot(r.Context())
	if errors.Is(err, context.Canceled) {
		return nil // nobody reads the answer
	}
	var text bytes.Buffer
	if err == nil {
		err = records.Write(&text, held.Records)
	}
	if err != nil {
		return err
	}
	record := audit.Record{Action: ActionRecordExport, Details: audit.JSON(map[string]any{"records": len(held.Records), "strata": held.Strata})}
	if err := s.auditOrder(r, record); err != nil {
		return err
	}
	w.Header().Set("Content-Type", eventsType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(text.Bytes()) // an error means that the caller has gone
	return nil
}

// eventsType is the type of one JSON text a line.
const eventsType = "application/x-ndjson"

// auditOrder puts on record what a caller has ordered.
func (s *Server) auditOrder(r *http.Request, record audit.Record) error {
	if s.cfg.Audit == nil {
		return nil
	}
	record.Actor, record.RequestID = callerName(r.Context()), r.Header.Get(HeaderRequestID)
	return s.cfg.Audit.Append(r.Context(), record)
}

// Recordings asks what is recorded.
func (c *Client) Recordings(ctx context.Context) (answer RecordingsAnswer, err error) {
	return answer, c.get(ctx, "/policy/recordings", &answer)
}

// RecordedEvents asks for the recorded decisions, as events of OPA's decision log, one a line.
func (c *Client) RecordedEvents(ctx context.Context) ([]byte, error) {
	return c.call(ctx, http.MethodGet, "/policy/recordings/events", nil)
}

// ClearRecordings has the recorded decisions forgotten, and their files removed.
func (c *Client) ClearRecordings(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodDelete, "/policy/recordings", nil)
	return err
}
