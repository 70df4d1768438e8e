package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// The actions. The log itself records those from [ActionPrune] on.
const (
	ActionStart          = "start"
	ActionStop           = "stop"
	ActionPolicyReload   = "policy-reload"   // target: the policy directory; refused: the outcome is failed
	ActionAuthRefused    = "auth-refused"    // actor: the token's name, or the remote address if it has none
	ActionConsoleSignIn  = "console-sign-in" // actor: the token's name, or the user
	ActionTokenAdd       = "token-add"       // target: the token's name
	ActionTokenRemove    = "token-remove"    // the same; revoked
	ActionPolicyRestored = "policy-restored" // a policy of an earlier run serves
	ActionListBlock      = "list-block"      // target: TYPE/NAME, as for the next two
	ActionListAllow      = "list-allow"
	ActionListRemove     = "list-remove"
	ActionListImport     = "list-import"    // of the original gateway's lists; refused: one entry that could not be taken over
	ActionPrune          = "audit-prune"    // retention removed the oldest records
	ActionGap            = "audit-gap"      // records were lost at this position; details say how many and when
	ActionReplaced       = "audit-replaced" // the database was moved away or replaced, while in use or before the start
	ActionTampered       = "audit-tampered" // another program wrote to the database while in use, or removed records
	ActionMoved          = "audit-moved"    // the log of an earlier version was brought along from the file that it was in
)

// The outcomes.
const (
	OutcomeApplied   = "applied"
	OutcomeFailed    = "failed"
	OutcomeRefused   = "refused"
	OutcomeUnchanged = "unchanged"
	OutcomeHeld      = "held" // sound, and an order keeps it from being applied
)

// The severities.
const (
	SeverityInfo = "INFO"
	SeverityWarn = "WARN"
	SeverityHigh = "HIGH"
)

// DefaultActor is the actor of a record without one.
const DefaultActor = "defenseclaw"

// ActorExpiry is the actor of the removal of an entry whose time on its list ended.
const ActorExpiry = "expiry"

// Record is one recorded event. Append requires Action; other fields have the defaults given. A text longer
// than 4 KiB is cut, and ends with an ellipsis then; details longer than 16 KiB are replaced by an object
// with their length, their SHA-256 and their beginning.
type Record struct {
	Seq          int64           `json:"seq"` // position in the chain, from 1; set by the log
	ID           string          `json:"id"`  // a UUID; set by the log
	Time         time.Time       `json:"time"`
	Action       string          `json:"action"`
	Actor        string          `json:"actor"` // default [DefaultActor]
	Target       string          `json:"target"`
	Outcome      string          `json:"outcome"`  // default [OutcomeApplied]
	Severity     string          `json:"severity"` // default HIGH when failed, WARN when refused, else INFO
	RevisionFrom string          `json:"revision_from,omitempty"`
	RevisionTo   string          `json:"revision_to,omitempty"`
	Generation   uint64          `json:"generation,omitempty"`
	RequestID    string          `json:"request_id,omitempty"`
	RunID        string          `json:"run_id,omitempty"` // identifies the process; set by the log
	Message      string          `json:"message,omitempty"`
	Details      json.RawMessage `json:"details,omitempty"` // any JSON; see [JSON]
	Hash         string          `json:"hash"`              // hexadecimal SHA-256; set by the log
}

// JSON encodes v for [Record.Details]. If v cannot be encoded, the result is an object with the error, so
// that the record can still be written.
func JSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		b, _ = json.Marshal(map[string]string{"not_encodable": err.Error()}) // cannot fail for a map of strings
	}
	return b
}

const (
	maxTextBytes    = 4 << 10
	maxDetailsBytes = 16 << 10
	// timeLayout has a fixed width, so that the order of texts is the order of times.
	timeLayout = "2006-01-02T15:04:05.000000000Z"
)

func timeText(t time.Time) string { return t.UTC().Format(timeLayout) }

// prepare makes a row of r, with its id and defaults. It returns an error only for a mistake of the caller.
func prepare(r Record, runID string) (values, error) {
	if r.Action == "" {
		return values{}, errors.New("audit record without an action")
	}
	if r.Generation > math.MaxInt64 {
		return values{}, fmt.Errorf("audit record %s: generation %d does not fit a signed 64-bit integer", r.Action, r.Generation)
	}
	if len(r.Details) > 0 && !json.Valid(r.Details) {
		return values{}, fmt.Errorf("audit record %s: its details are not JSON", r.Action)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return values{}, fmt.Errorf("audit record %s: make an id: %w", r.Action, err)
	}
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	r.Actor, r.Outcome = cmp.Or(r.Actor, DefaultActor), cmp.Or(r.Outcome, OutcomeApplied)
	r.Severity = cmp.Or(r.Severity, severityOf(r.Outcome))
	return values{
		id: id.String(), timestamp: timeText(r.Time), action: fit(r.Action), target: fit(r.Target), actor: fit(r.Actor),
		details: fit(r.Message), structuredJSON: fitDetails(r.Details), severity: fit(r.Severity), runID: runID,
		outcome: fit(r.Outcome), revisionFrom: fit(r.RevisionFrom), revisionTo: fit(r.RevisionTo),
		generation: int64(r.Generation), // checked above
		requestID:  fit(r.RequestID),
	}, nil
}

func severityOf(outcome string) string {
	switch outcome {
	case OutcomeFailed:
		return SeverityHigh
	case OutcomeRefused:
		return SeverityWarn
	default:
		return SeverityInfo
	}
}

// fit makes s valid UTF-8 without NUL and limits its length.
func fit(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.ReplaceAll(s, "\x00", "\uFFFD") // C programs end a text there
	return cut(s, maxTextBytes)
}

func cut(s string, maxBytes int) string {
	if len(s) <= maxBytes {
		return s
	}
	end := maxBytes
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// fitDetails returns nil for no details: an empty text is not JSON.
func fitDetails(d json.RawMessage) any {
	if len(d) == 0 {
		return nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, d); err != nil { // prepare has called json.Valid
		return nil
	}
	text := strings.ToValidUTF8(b.String(), "\uFFFD")
	if len(text) <= maxDetailsBytes {
		return text
	}
	return string(JSON(map[string]any{
		"truncated": true, "bytes": len(text), "sha256": digest(text), "begins": cut(text, maxTextBytes),
	}))
}

// record converts the row for callers. It never fails, whatever was written into the row.
func (row *row) record() Record {
	v := &row.values
	r := Record{
		Seq: row.seq, ID: text(v.id), Time: parseTime(text(v.timestamp)), Action: text(v.action), Target: text(v.target),
		Actor: text(v.actor), Message: text(v.details), Severity: text(v.severity), RunID: text(v.runID),
		Outcome: text(v.outcome), RevisionFrom: text(v.revisionFrom), RevisionTo: text(v.revisionTo),
		RequestID: text(v.requestID), Hash: row.hash,
	}
	if details := text(v.structuredJSON); json.Valid([]byte(details)) {
		r.Details = json.RawMessage(details)
	} else if details != "" {
		r.Details = JSON(details)
	}
	if n, ok := v.generation.(int64); ok && n > 0 {
		r.Generation = uint64(n)
	}
	return r
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	default:
		return fmt.Sprint(v)
	}
}

// parseTime reads times of the log and of earlier systems. It returns the zero time for others.
func parseTime(s string) time.Time {
	s, _, _ = strings.Cut(s, " m=")
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999",
		"2006-01-02 15:04:05.999999999 -0700 MST", // time.Time.String, as the original gateway's driver writes it
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
