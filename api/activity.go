package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/api/metrics"
)

// ActivityAnswer is the body of GET /policy/activity.
type ActivityAnswer struct {
	From        time.Time        `json:"from"`
	To          time.Time        `json:"to"`
	StepSeconds int              `json:"step_seconds"`
	Buckets     []ActivityBucket `json:"buckets"` // the oldest first; a time in which the process did not run has none
	Reloads     []ActivityReload `json:"reloads"` // the oldest first, the newest 200 at most
}

// ActivityBucket is what decisions came to in a part of the last hour.
type ActivityBucket struct {
	At        time.Time         `json:"at"`                // its beginning
	Seconds   float64           `json:"seconds"`           // of it that were measured: fewer while it lasts
	Decisions uint64            `json:"decisions"`         // that ended in it
	PerSecond float64           `json:"per_second"`        // of the seconds that were measured
	P50       *float64          `json:"p50_ms"`            // null where there was no decision
	P99       *float64          `json:"p99_ms"`            // the same
	Outcomes  []ActivityOutcome `json:"outcomes,omitzero"` // those that occurred
}

// ActivityOutcome is how often decisions of a domain had a verdict, in the words of the metric policy.evaluations.
type ActivityOutcome struct {
	Domain    string `json:"domain"`
	Verdict   string `json:"verdict"`
	Decisions uint64 `json:"decisions"`
}

// ActivityReload is an attempt to change what serves. Those that changed nothing are left out.
type ActivityReload struct {
	At         time.Time `json:"at"`
	Status     string    `json:"status"` // reloaded, held or failed
	Trigger    string    `json:"trigger"`
	Generation uint64    `json:"generation"` // that serves after it; 0: none
	Revision   string    `json:"revision"`   // the same; empty: none
}

// activity is GET /policy/activity: the last hour in parts.
func (s *Server) activity(w http.ResponseWriter, r *http.Request) error {
	step, err := stepOf(r.URL.Query())
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	parts, marks := s.cfg.Metrics.Activity(step)
	answer := ActivityAnswer{
		From: now.Add(-metrics.ActivityTime), To: now, StepSeconds: int(step / time.Second), Buckets: []ActivityBucket{}, Reloads: []ActivityReload{},
	}
	for _, p := range parts {
		answer.Buckets = append(answer.Buckets, bucketOf(p))
	}
	for _, m := range marks {
		m.At = m.At.UTC()
		answer.Reloads = append(answer.Reloads, ActivityReload(m))
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func bucketOf(p metrics.Bucket) ActivityBucket {
	b := ActivityBucket{At: p.Start, Seconds: p.Measured.Seconds(), Outcomes: []ActivityOutcome{}}
	for _, o := range p.Outcomes {
		b.Outcomes = append(b.Outcomes, ActivityOutcome(o))
		b.Decisions += o.Decisions
	}
	b.PerSecond = float64(b.Decisions) / b.Seconds
	if p.Latency.Count() > 0 {
		b.P50, b.P99 = new(p.Latency.Percentile(0.50)), new(p.Latency.Percentile(0.99))
	}
	return b
}

// stepOf is ?step=, in seconds: how long the parts are.
func stepOf(query url.Values) (time.Duration, error) {
	text := query.Get("step")
	if !query.Has("step") {
		return metrics.ActivitySlot, nil
	}
	seconds, err := strconv.Atoi(text)
	step := time.Duration(seconds) * time.Second
	if err != nil || seconds <= 0 || seconds > 600 || step%metrics.ActivitySlot != 0 || time.Hour%step != 0 {
		return 0, decision.BadRequest("step is %q: expected seconds, a multiple of 10 up to 600 that divides an hour", text[:min(len(text), 100)])
	}
	return step, nil
}

// Activity asks for the last hour in parts of that length, a multiple of ten seconds that divides an hour; 0: ten seconds.
func (c *Client) Activity(ctx context.Context, step time.Duration) (answer ActivityAnswer, err error) {
	path := "/policy/activity"
	if step != 0 {
		path += "?step=" + strconv.Itoa(int(step/time.Second))
	}
	return answer, c.get(ctx, path, &answer)
}
