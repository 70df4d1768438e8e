package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
)

// RecordedList is the body of GET /policy/recordings/decisions, the newest first.
type RecordedList struct {
	Decisions []RecordedSummary `json:"decisions"`
	Records   int               `json:"records"`        // that are held, whatever is asked for
	Searched  []string          `json:"searched"`       // where the text was looked for: in what the caller may read
	Next      string            `json:"next,omitempty"` // before=NEXT gives the next page; empty: this is the last
}

// RecordedSummary is a recorded decision without its input.
type RecordedSummary struct {
	DecisionID   string          `json:"decision_id"`
	Time         time.Time       `json:"time"`
	Path         string          `json:"path"`                    // as in a decision log: firewall/allow
	Outcome      string          `json:"outcome"`                 // what the answer means: allow, deny, error or other
	Defined      bool            `json:"defined"`                 // it has a result
	Result       json.RawMessage `json:"result,omitempty"`        // left out where it is long: then there is its beginning
	ResultBegins string          `json:"result_begins,omitempty"` // the first part of its text
	Error        string          `json:"error,omitempty"`         // instead of a result
	Revision     string          `json:"revision,omitempty"`      // of the generation that decided
	Seen         float64         `json:"seen"`                    // decisions that it stands for
	Branch       string          `json:"branch,omitempty"`        // which clauses held, as a hash
	Masked       bool            `json:"masked,omitempty"`        // something of it is not what was asked or answered
}

const (
	maxRecordedPage    = 500
	recordedPage       = 50 // without a limit
	maxFilterText      = 1000
	maxSummaryResult   = 200                    // bytes of a result
	recordedSearchTime = 500 * time.Millisecond // then the page ends where it is, and the next goes on
)

// The outcomes that can be asked for beside those of package review.
const (
	outcomeDefined   = "defined"
	outcomeUndefined = "undefined"
)

// recordedDecisions is GET /policy/recordings/decisions. It has no inputs, and does not look into them for a caller who may not
// read them: whether a text is in an input tells the input, letter by letter.
func (s *Server) recordedDecisions(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Recorder == nil {
		return errNotRecorded
	}
	by, _ := r.Context().Value(requesterKey{}).(requester)
	filter, limit, err := s.recordedFilter(r, by.caller.Scopes.Has(gate.ScopeChange))
	if err != nil {
		return err
	}
	held, err := s.cfg.Recorder.Held(r.Context())
	if errors.Is(err, context.Canceled) {
		return nil // nobody reads the answer
	}
	if err != nil {
		return err
	}
	answer := RecordedList{Decisions: []RecordedSummary{}, Records: len(held), Searched: []string{"decision_id", "path", "result", "error"}}
	if filter.Inputs {
		answer.Searched = append(answer.Searched, "input")
	}
	outcomes := s.outcomes.of(s)
	begun := time.Now()
	page := filter.Newest(held, limit, func() bool { return r.Context().Err() != nil || time.Since(begun) > recordedSearchTime })
	for _, h := range page.Held {
		answer.Decisions = append(answer.Decisions, summaryOf(r.Context(), h, outcomes, maxSummaryResult))
	}
	if page.Next != nil {
		answer.Next = page.Next.String()
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// recordedFilter reads what the caller wants to see.
func (s *Server) recordedFilter(r *http.Request, inputs bool) (f records.Filter, limit int, err error) {
	f.Inputs, limit = inputs, recordedPage
	read := map[string]func(string) error{
		"limit": func(text string) error {
			if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxRecordedPage {
				return decision.BadRequest("limit is %q: expected a number from 1 to %d", text, maxRecordedPage)
			}
			return nil
		},
		"before": func(text string) (err error) {
			if f.Before, err = records.ParsePosition(text); err != nil {
				return decision.BadRequest("before: %s", err)
			}
			return nil
		},
		"path": func(text string) (err error) {
			if f.Path, err = recordedPath(text); err != nil {
				return decision.BadRequest("%s", err)
			}
			return nil
		},
		"revision": func(text string) (err error) { f.Revision, err = s.recordedRevision(r.Context(), text); return err },
		"text":     func(text string) error { f.Text = text; return nil },
		"outcome":  func(text string) error { return s.filterOutcome(r.Context(), &f, text) },
	}
	for name, given := range r.URL.Query() {
		switch do := read[name]; {
		case do == nil:
			return f, 0, decision.BadRequest("unknown filter %q", name[:min(len(name), 64)])
		case len(given) != 1:
			return f, 0, decision.BadRequest("%s is given %d times", name, len(given))
		case len(given[0]) > maxFilterText:
			return f, 0, decision.BadRequest("%s has %d bytes: the maximum is %d", name, len(given[0]), maxFilterText)
		case given[0] == "": // as an empty field of a form
		default:
			if err := do(given[0]); err != nil {
				return f, 0, err
			}
		}
	}
	return f, limit, nil
}

// recordedPath is a path as records have it, of one as people write it: b/allow, or data.b.allow.
func recordedPath(text string) (string, error) {
	if dotted, ok := strings.CutPrefix(text, "data."); ok {
		text = strings.ReplaceAll(dotted, ".", "/")
	}
	path, err := engine.ParsePath(text)
	if err != nil {
		return "", err
	}
	parts := make([]string, len(path))
	for i, part := range path {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/"), nil
}

// recordedRevision is the beginning of the revisions that a text names: what serves, a number of the history, or digits.
func (s *Server) recordedRevision(ctx context.Context, text string) (string, error) {
	if text == SideServing {
		if g := s.current(); g != nil {
			return g.Revision(), nil
		}
		return "", decision.ErrNoPolicy
	}
	if _, err := strconv.ParseUint(text, 10, 64); err == nil && s.cfg.Past != nil {
		past, err := s.past(ctx)
		if err != nil {
			return "", err
		}
		if found, err := past.Find(text); err == nil && strconv.FormatUint(found.Seq, 10) == text {
			return found.Revision, nil
		}
	}
	const minDigits = 4
	digits := strings.TrimPrefix(text, "sha256:")
	if len(digits) < minDigits || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", decision.BadRequest("revision is %q: expected serving, a number of the history, or at least %d digits of the beginning of a revision", text, minDigits)
	}
	return "sha256:" + digits, nil
}

func (s *Server) filterOutcome(ctx context.Context, f *records.Filter, text string) error {
	switch text {
	case outcomeDefined:
		f.Defined = records.Yes
	case outcomeUndefined:
		f.Defined, f.Failed = records.No, records.No
	case string(review.OutcomeError):
		f.Failed = records.Yes
	case string(review.OutcomeAllow), string(review.OutcomeDeny), string(review.OutcomeOther):
		f.Failed = records.No
		outcomes := s.outcomes.of(s)
		f.Also = func(rec *records.Record) bool { return string(outcomes.Of(ctx, rec.Path, rec.Result, false)) == text }
	default:
		all := []string{outcomeDefined, outcomeUndefined, string(review.OutcomeError), string(review.OutcomeAllow), string(review.OutcomeDeny), string(review.OutcomeOther)}
		return decision.BadRequest("outcome is %q: expected one of %s", text, strings.Join(all, ", "))
	}
	return nil
}

// summaryOf is a record as it is told to who may read. A result of more than limit bytes is cut.
func summaryOf(ctx context.Context, h records.Held, outcomes *review.Outcomes, limit int) RecordedSummary {
	sum := RecordedSummary{
		DecisionID: h.DecisionID, Time: h.Time.UTC(), Path: h.Path, Outcome: string(outcomes.Of(ctx, h.Path, h.Result, h.Error != "")),
		Defined: h.Result != nil, Error: h.Error, Revision: h.Revision, Seen: h.Seen, Branch: h.Branch, Masked: h.Masked,
	}
	if len(h.Result) <= limit {
		sum.Result = h.Result
		return sum
	}
	for limit > 0 && !utf8.RuneStart(h.Result[limit]) {
		limit--
	}
	sum.ResultBegins = string(h.Result[:limit]) + "…"
	return sum
}

// RecordedQuery chooses among the recorded decisions. Zero fields leave none out.
type RecordedQuery struct {
	Path, Outcome, Revision, Text string
	Before                        string // RecordedList.Next of the page before
	Limit                         int    // 0: the server's
}

// Values are the query as the route takes it.
func (q RecordedQuery) Values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"path": q.Path, "outcome": q.Outcome, "revision": q.Revision, "text": q.Text, "before": q.Before} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return values
}

// RecordedDecisions asks for a page of the recorded decisions, without inputs.
func (c *Client) RecordedDecisions(ctx context.Context, q RecordedQuery) (answer RecordedList, err error) {
	return answer, c.get(ctx, "/policy/recordings/decisions?"+q.Values().Encode(), &answer)
}

// RecordedOutcomes are the outcomes that can be asked for.
func RecordedOutcomes() []string {
	return slices.Clone([]string{"allow", "deny", "other", "error", outcomeDefined, outcomeUndefined})
}
