package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/api/internal/decision"
)

// The actions of records whose content a client of the original gateway sent. They are not the client's own names for
// what happened: nobody can put a record into the log that says that the sidecar itself did something.
const (
	ActionClientEvent     = "client-event"     // POST /audit/event
	ActionClientScan      = "client-scan"      // POST /scan/result
	ActionClientGuardrail = "client-guardrail" // POST /v1/guardrail/event
	ActionClientCommand   = "client-command"   // POST /api/v1/observability/cli
)

// clientEvent is the body of POST /audit/event.
type clientEvent struct {
	Action    string `json:"action"`
	Target    string `json:"target"`
	Actor     string `json:"actor"`
	Details   string `json:"details"`
	Severity  string `json:"severity"`
	Timestamp string `json:"timestamp,omitempty"`
	RunID     string `json:"run_id,omitempty"`
	SessionID string `json:"session_id,omitempty"`
}

// auditEvent is POST /audit/event.
func (s *Server) auditEvent(w http.ResponseWriter, r *http.Request) error {
	var in clientEvent
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	if in.Action == "" {
		return decision.BadRequest("action is required")
	}
	return s.recordClient(w, r, audit.Record{
		Action: ActionClientEvent, Target: in.Target, Severity: in.Severity, Message: in.Action + ": " + in.Details, Details: audit.JSON(in),
	})
}

// clientScan is the body of POST /scan/result.
type clientScan struct {
	Scanner    string          `json:"scanner"`
	Target     string          `json:"target"`
	Timestamp  string          `json:"timestamp,omitempty"`
	Findings   []clientFinding `json:"findings"`
	Duration   int64           `json:"duration"`              // nanoseconds
	DurationMS int64           `json:"duration_ms,omitempty"` // the same, of commands
	TargetType string          `json:"target_type,omitempty"`
	Verdict    string          `json:"verdict,omitempty"`
	ExitCode   int             `json:"exit_code,omitempty"`
	Error      string          `json:"error,omitempty"`
}

type clientFinding struct {
	ID         string `json:"id"`
	Severity   string `json:"severity"`
	Title      string `json:"title"`
	Location   string `json:"location"`
	RuleID     string `json:"rule_id,omitempty"`
	LineNumber *int   `json:"line_number,omitempty"`
}

// scanResult is POST /scan/result.
func (s *Server) scanResult(w http.ResponseWriter, r *http.Request) error {
	var in clientScan
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	record, err := in.record(ActionClientScan)
	if err != nil {
		return err
	}
	return s.recordClient(w, r, record)
}

// record has the severity of the worst finding.
func (in clientScan) record(action string) (audit.Record, error) {
	if in.Scanner == "" || in.Target == "" {
		return audit.Record{}, decision.BadRequest("scanner and target are required")
	}
	worst := 0
	for i, f := range in.Findings {
		n := slices.Index(clientSeverities, spelled(f.Severity))
		if n < 0 {
			return audit.Record{}, decision.BadRequest("findings[%d].severity is %q; one of %s was expected", i, f.Severity, strings.Join(clientSeverities, ", "))
		}
		worst = max(worst, n)
	}
	return audit.Record{
		Action: action, Target: in.Target, Severity: clientSeverities[worst],
		Message: fmt.Sprintf("%s found %d", in.Scanner, len(in.Findings)), Details: audit.JSON(in),
	}, nil
}

// clientVerdict is the body of POST /v1/guardrail/event.
type clientVerdict struct {
	EvaluationID   string   `json:"evaluation_id"`
	Direction      string   `json:"direction"`
	Model          string   `json:"model"`
	Action         string   `json:"action"`
	Severity       string   `json:"severity"`
	Reason         string   `json:"reason"`
	Findings       []string `json:"findings"`
	ElapsedMS      float64  `json:"elapsed_ms"`
	CiscoElapsedMS float64  `json:"cisco_elapsed_ms"`
	TokensIn       *int64   `json:"tokens_in,omitempty"`
	TokensOut      *int64   `json:"tokens_out,omitempty"`
}

// guardrailEvent is POST /v1/guardrail/event.
func (s *Server) guardrailEvent(w http.ResponseWriter, r *http.Request) error {
	var in clientVerdict
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	for name, value := range map[string]string{"evaluation_id": in.EvaluationID, "direction": in.Direction, "action": in.Action, "severity": in.Severity} {
		if value == "" {
			return decision.BadRequest("evaluation_id, direction, action and severity are required; %s is missing", name)
		}
	}
	return s.recordClient(w, r, audit.Record{
		Action: ActionClientGuardrail, Target: in.EvaluationID, Severity: in.Severity,
		Message: in.Action + " " + in.Direction + ": " + in.Reason, Details: audit.JSON(in),
	})
}

// clientCommand is the body of POST /api/v1/observability/cli: what a command of the original did. Exactly one of the
// others is there, and Kind names it.
type clientCommand struct {
	Kind            string          `json:"kind"`
	RunID           string          `json:"run_id,omitempty"`
	Action          json.RawMessage `json:"action,omitempty"`
	Activity        json.RawMessage `json:"activity,omitempty"`
	Alert           json.RawMessage `json:"alert,omitempty"`
	Scan            json.RawMessage `json:"scan,omitempty"`
	LLMBridge       json.RawMessage `json:"llm_bridge,omitempty"`
	WebhookDelivery json.RawMessage `json:"webhook_delivery,omitempty"`
}

// command is POST /api/v1/observability/cli.
func (s *Server) command(w http.ResponseWriter, r *http.Request) error {
	var in clientCommand
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	record, err := in.record()
	if err != nil {
		return err
	}
	return s.recordClient(w, r, record)
}

func (in clientCommand) record() (audit.Record, error) {
	arms := map[string]json.RawMessage{
		"action": in.Action, "activity": in.Activity, "alert": in.Alert, "scan": in.Scan, "llm_bridge": in.LLMBridge, "webhook_delivery": in.WebhookDelivery,
	}
	for name, arm := range arms {
		if object := bytes.HasPrefix(arm, []byte("{")); object != (name == in.Kind) {
			return audit.Record{}, decision.BadRequest("kind is %q: an object of that name is required, and no other; %s is not so", in.Kind, name)
		}
	}
	if _, ok := arms[in.Kind]; !ok {
		return audit.Record{}, decision.BadRequest("kind is %q: one of action, activity, alert, scan, llm_bridge and webhook_delivery was expected", in.Kind)
	}
	if in.Kind == "scan" {
		var scan clientScan
		if err := json.Unmarshal(in.Scan, &scan); err != nil {
			return audit.Record{}, decision.BadRequest("scan: %s", err)
		}
		return scan.record(ActionClientCommand)
	}
	var what struct {
		Name, Action, Source, Model, Target, Details, Summary, Severity string

		TargetID    string `json:"target_id"`
		TargetURL   string `json:"target_url"`
		WebhookKind string `json:"webhook_kind"`
	}
	if err := json.Unmarshal(arms[in.Kind], &what); err != nil && in.Kind != "alert" { // whose details are an object
		return audit.Record{}, decision.BadRequest("%s: %s", in.Kind, err)
	}
	name := cmp.Or(what.Name, what.Action, what.Source, what.Model, what.WebhookKind)
	if name == "" {
		return audit.Record{}, decision.BadRequest("%s does not say what was done", in.Kind)
	}
	if in.Kind == "alert" {
		what.Severity = cmp.Or(what.Severity, audit.SeverityWarn)
	}
	return audit.Record{
		Action: ActionClientCommand, Target: cmp.Or(what.Target, what.TargetID, what.TargetURL), Severity: what.Severity,
		Message: strings.TrimSuffix(in.Kind+" "+name+": "+cmp.Or(what.Summary, what.Details), ": "), Details: audit.JSON(in),
	}, nil
}

// clientSeverities are those of the original, the mildest first.
var clientSeverities = []string{audit.SeverityInfo, "LOW", "MEDIUM", audit.SeverityHigh, "CRITICAL"}

func spelled(severity string) string { return strings.ToUpper(strings.TrimSpace(severity)) }

// recordClient records what a client sent, under the name of its token, and answers. The record is on disk then.
func (s *Server) recordClient(w http.ResponseWriter, r *http.Request, record audit.Record) error {
	switch record.Severity = spelled(record.Severity); {
	case record.Severity == "" || record.Severity == "NONE":
		record.Severity = audit.SeverityInfo
	case !slices.Contains(clientSeverities, record.Severity) && record.Severity != audit.SeverityWarn:
		return decision.BadRequest("severity is %q; one of %s was expected", record.Severity, strings.Join(clientSeverities, ", "))
	}
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	record.Actor, record.RequestID = callerName(r.Context()), r.Header.Get(HeaderRequestID)
	if err := s.cfg.Audit.Append(r.Context(), record); err != nil {
		return err
	}
	if record.Action == ActionClientCommand {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	decision.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// ClientAlert is an entry of the answer to GET /alerts, with the original's names.
type ClientAlert struct {
	ID         string          `json:"id"`
	Timestamp  time.Time       `json:"timestamp"`
	Action     string          `json:"action"`
	Target     string          `json:"target"`
	Actor      string          `json:"actor"`
	Details    string          `json:"details"`
	Severity   string          `json:"severity"`
	RunID      string          `json:"run_id,omitempty"`
	RequestID  string          `json:"request_id,omitempty"`
	Structured json.RawMessage `json:"structured,omitempty"`
}

// alertSeverities are those of the records that GET /alerts shows.
var alertSeverities = []string{"CRITICAL", audit.SeverityHigh, "MEDIUM", audit.SeverityWarn}

// alerts is GET /alerts: the newest records of MEDIUM and worse.
func (s *Server) alerts(w http.ResponseWriter, r *http.Request) error {
	const standard, most = 50, 500
	limit := standard
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			return decision.BadRequest("limit is %q: a positive number was expected", text)
		}
		limit = min(n, most)
	}
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	var found []audit.Record
	for _, severity := range alertSeverities {
		some, err := s.cfg.Audit.Query(r.Context(), audit.Filter{Severity: severity, Limit: limit})
		if err != nil {
			return err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b audit.Record) int { return cmp.Compare(b.Seq, a.Seq) })
	answer := []ClientAlert{}
	for _, record := range found[:min(limit, len(found))] {
		answer = append(answer, alertOf(record))
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func alertOf(r audit.Record) ClientAlert {
	a := ClientAlert{
		ID: r.ID, Timestamp: r.Time, Action: r.Action, Target: r.Target, Actor: r.Actor, Details: r.Message,
		Severity: r.Severity, RunID: r.RunID, RequestID: r.RequestID,
	}
	if bytes.HasPrefix(r.Details, []byte("{")) { // the original has an object there
		a.Structured = r.Details
	}
	if a.Severity == audit.SeverityWarn {
		a.Severity = "MEDIUM"
	}
	return a
}
