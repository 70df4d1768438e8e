package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
)

// ActionRecordRead is the action of audit records about recorded decisions that were read one by one, with their inputs.
const ActionRecordRead = "policy-record-read"

// RecordedDecision is the body of GET /policy/recordings/decisions/{id}: all that is recorded, masked.
type RecordedDecision struct {
	RecordedSummary
	Input      json.RawMessage `json:"input,omitempty"`            // left out: there was none
	NDBuiltins json.RawMessage `json:"nd_builtin_cache,omitempty"` // results of builtins that are not deterministic
	Strict     bool            `json:"strict,omitempty"`           // an error of a builtin was one of the decision
	Shape      string          `json:"shape,omitempty"`            // of the input, as a hash
}

// recordedDecision is GET /policy/recordings/decisions/{id}.
func (s *Server) recordedDecision(w http.ResponseWriter, r *http.Request) error {
	h, err := s.openRecord(r)
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, RecordedDecision{
		RecordedSummary: summaryOf(r.Context(), h, s.outcomes.of(s), len(h.Result)),
		Input:           h.Input, NDBuiltins: h.NDBuiltins, Strict: h.Strict, Shape: h.Shape,
	})
	return nil
}

// openRecord finds the decision that the path names, and puts on record that its input was read.
func (s *Server) openRecord(r *http.Request) (found records.Held, err error) {
	if s.cfg.Recorder == nil {
		return found, errNotRecorded
	}
	held, err := s.cfg.Recorder.Held(r.Context())
	if err != nil {
		return found, err
	}
	id := r.PathValue("id")
	for _, h := range held {
		if h.DecisionID == id {
			found = h
			break
		}
	}
	if found.Record == nil {
		return found, &decision.HTTPError{Status: http.StatusNotFound, Message: "no such decision is recorded: few are kept of all that are made, and older ones give way"}
	}
	err = s.readings.once(callerName(r.Context())+"\x00"+id, time.Now(), func() error {
		return s.auditOrder(r, audit.Record{Action: ActionRecordRead, Target: id, Details: audit.JSON(map[string]any{"path": found.Path})})
	})
	return found, err
}

// readings keep a page that is loaded again and again from filling the audit log: who has read a decision is on record, how often
// is not.
type readings struct {
	mu     sync.Mutex
	latest map[string]time.Time
}

const (
	readAgain   = 10 * time.Minute
	maxReadings = 10_000
)

// once calls note, unless it was called for the key not long ago.
func (a *readings) once(key string, now time.Time, note func() error) error {
	a.mu.Lock()
	at, ok := a.latest[key]
	a.mu.Unlock()
	if ok && now.Sub(at) < readAgain {
		return nil
	}
	if err := note(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.latest) >= maxReadings {
		maps.DeleteFunc(a.latest, func(_ string, at time.Time) bool { return now.Sub(at) >= readAgain })
	}
	if a.latest == nil || len(a.latest) >= maxReadings { // forgetting makes more records, never fewer
		a.latest = map[string]time.Time{}
	}
	a.latest[key] = now
	return nil
}

// outcomesOf are the outcomes by the policy that serves.
type outcomesOf struct {
	latest atomic.Pointer[outcomesBy]
}

type outcomesBy struct {
	generation *engine.Generation
	*review.Outcomes
}

func (o *outcomesOf) of(s *Server) *review.Outcomes {
	g := s.current()
	if s.cfg.DecisionsElsewhere { // for the safety of this process, nothing of the policy's is evaluated here
		g = nil
	}
	if known := o.latest.Load(); known != nil && known.generation == g {
		return known.Outcomes
	}
	made := &outcomesBy{g, review.NewOutcomes(g)}
	o.latest.Store(made)
	return made.Outcomes
}

var errNoID = errors.New("the identifier of a decision is empty")

// RecordedDecision asks for one recorded decision, with its input.
func (c *Client) RecordedDecision(ctx context.Context, id string) (answer RecordedDecision, err error) {
	if id == "" {
		return answer, errNoID
	}
	return answer, c.get(ctx, "/policy/recordings/decisions/"+url.PathEscape(id), &answer)
}
