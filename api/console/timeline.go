package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/gate"
)

// timelinePage is what the page Timeline shows.
type timelinePage struct {
	frame

	Attempts []attempt
	Serving  string // the revision
	Older    string // the address of the next page; empty: this is the last
	NoAudit  bool   // refused attempts are not recorded
}

// attempt is one try to change what serves.
type attempt struct {
	At       time.Time
	Outcome  string // applied, refused, held or unchanged
	Level    level
	By       string
	Why      string // of an order
	Trigger  string
	Message  string
	Changed  []string
	More     int
	Revision string
	Phases   []api.Phase
	Entry    *api.HistoryEntry // nil: it never served, or is not kept
	Until    *time.Time        // when it stopped to serve
	Orders   []offer           // that fit what is going on with it
}

// Took is how long each part of the attempt took that took any time; empty: that is not known.
func (a attempt) Took() string {
	var texts []string
	for _, p := range a.Phases {
		if p.MS >= 0.05 { // else it would be nothing
			texts = append(texts, p.Name+" "+milliseconds(p.MS))
		}
	}
	return strings.Join(texts, ", ")
}

// milliseconds is a time of a part, as exactly as is of use.
func milliseconds(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.1f\u00a0s", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0f\u00a0ms", ms)
	default:
		return fmt.Sprintf("%.1f\u00a0ms", ms)
	}
}

// Served is for how long it served; empty while it does.
func (a attempt) Served() string {
	if a.Until == nil {
		return ""
	}
	return a.Until.Sub(a.At).Round(time.Second).String()
}

// timelineSize is how many attempts a page has.
const timelineSize = 50

// timeline shows every attempt, the newest first: those that are in the history, and those that the audit log has.
func (c *Console) timeline(v *visit) error {
	p := timelinePage{frame: v.frame("Timeline")}
	var status api.StatusAnswer
	if err := v.get("/policy/status", nil, &status); err != nil {
		return err
	}
	p.Serving = status.Revision
	before := time.Time{}
	if text := v.r.URL.Query().Get("before"); text != "" {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return &answerError{Path: "before", Status: http.StatusBadRequest, Message: "before is " + strconv.Quote(text) + ": a time was expected"}
		}
		before = at
	}
	served, err := v.served(before)
	if err != nil {
		return err
	}
	refused, noAudit, err := v.refused(before)
	if err != nil {
		return err
	}
	p.NoAudit = noAudit
	p.Attempts = append(served, refused...)
	slices.SortStableFunc(p.Attempts, func(a, b attempt) int { return b.At.Compare(a.At) })
	p.offer(status)
	if len(p.Attempts) > timelineSize {
		p.Attempts = p.Attempts[:timelineSize]
		p.Older = api.ConsolePrefix + "timeline?" + url.Values{"before": {p.Attempts[timelineSize-1].At.UTC().Format(time.RFC3339Nano)}}.Encode()
	}
	return v.show("timeline", p)
}

// offer puts the orders that fit what is going on beside the attempt that they are about: what waits for an approval, else what
// serves.
func (p *timelinePage) offer(s api.StatusAnswer) {
	held := s.Control != nil && s.Control.Mode == "held"
	at := slices.IndexFunc(p.Attempts, func(a attempt) bool {
		if held {
			return a.Outcome == "held" && a.Revision == s.Control.Candidate
		}
		return a.Entry != nil && a.Revision == p.Serving
	})
	if at < 0 {
		return
	}
	p.Attempts[at].Orders = slices.DeleteFunc(offers(s), func(o offer) bool {
		return s.Control.Mode == "follow" && o.Order == "rollback" // each other attempt is put back by its own button
	})
}

// served are the attempts of the history before a moment; zero: now. There may be none, where nothing is kept.
func (v *visit) served(before time.Time) ([]attempt, error) {
	query := url.Values{"limit": {strconv.Itoa(timelineSize + 1)}} // one more tells whether there is a next page
	if !before.IsZero() {
		query.Set("before", before.UTC().Format(time.RFC3339Nano))
	}
	var entries []api.HistoryEntry
	err := v.get("/policy/history", query, &entries)
	if answer := (&answerError{}); errors.As(err, &answer) && answer.Status == http.StatusServiceUnavailable {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []attempt
	for i := range entries {
		e := &entries[i]
		a := attempt{
			At: e.ServedFrom, Outcome: "applied", Level: well, By: e.Actor, Trigger: e.Trigger, Changed: e.Changed, More: e.ChangedMore,
			Revision: e.Revision, Entry: e, Until: e.ServedUntil, Phases: e.Phases,
		}
		if e.Control != nil {
			a.Outcome, a.By, a.Why = e.Control.Order, cmp.Or(e.Control.Actor, e.Actor), e.Control.Reason
		}
		all = append(all, a)
	}
	return all, nil
}

// refused are the attempts that came to nothing, by the audit log.
func (v *visit) refused(before time.Time) (all []attempt, noAudit bool, err error) {
	for _, outcome := range []string{audit.OutcomeFailed, "held"} {
		query := url.Values{"action": {audit.ActionPolicyReload}, "outcome": {outcome}, "limit": {strconv.Itoa(timelineSize + 1)}}
		if !before.IsZero() {
			query.Set("until", before.UTC().Format(time.RFC3339Nano))
		}
		var answer api.RecordsAnswer
		err := v.get("/audit/records", query, &answer)
		if off := (&answerError{}); errors.As(err, &off) && off.Status == http.StatusServiceUnavailable {
			return nil, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		for _, r := range answer.Records {
			a := attempt{At: r.Time, Outcome: "refused", Level: wrong, By: r.Actor, Message: r.Message}
			if outcome != audit.OutcomeFailed {
				a.Outcome, a.Level = "held", look
			}
			var details struct {
				Trigger string      `json:"trigger"`
				Changed []string    `json:"changed"`
				Error   string      `json:"error"`
				Phases  []api.Phase `json:"phases"`
				Held    struct {
					Revision string   `json:"revision"`
					Changed  []string `json:"changed"`
				} `json:"held"`
			}
			if json.Unmarshal(r.Details, &details) == nil {
				a.Trigger, a.Changed, a.Message, a.Phases = details.Trigger, details.Changed, cmp.Or(details.Error, a.Message), details.Phases
				if details.Held.Revision != "" {
					a.Revision, a.Changed = details.Held.Revision, details.Held.Changed
				}
			}
			all = append(all, a)
		}
	}
	return all, false, nil
}

// comparePage is what the page that compares two sides shows.
type comparePage struct {
	frame

	From, To string
	Review   api.Review
	Diff     []diffFile
	Problem  string
	Evidence bool // of replay and probe, which were asked for
}

// compare shows what differs between two sides: what is written in the files, what rules mean, and what decisions come to.
func (c *Console) compare(v *visit) error {
	query := v.r.URL.Query()
	p := comparePage{frame: v.frameWithEditor("Compare"), From: cmp.Or(query.Get("from"), "serving"), To: cmp.Or(query.Get("to"), "disk")}
	p.Title = "From " + p.From + " to " + p.To
	ask := url.Values{"from": {p.From}, "to": {p.To}, "text": {"true"}}
	if p.Evidence = query.Get("part") == "evidence"; p.Evidence {
		ask.Set("with", "replay,probe")
		ask.Set("text", "false")
		ask.Set("inputs", strconv.FormatBool(v.session.caller.Scopes.Has(gate.ScopeChange)))
	}
	read := v.getLoaded
	if p.Evidence {
		read = v.getLong
	}
	err := read("/policy/diff", ask, &p.Review)
	if answer := (&answerError{}); errors.As(err, &answer) {
		p.Problem = answer.Message
	} else if err != nil {
		return err
	}
	p.Diff = splitDiff(p.Review.Text, p.From, p.To)
	return v.show("compare", p)
}

// shownFlip is a decision that flips, with the two sides that are compared.
type shownFlip struct {
	api.ReviewFlip

	from, to string
}

// Flip is called by the template.
func (p comparePage) Flip(f api.ReviewFlip) shownFlip { return shownFlip{f, p.From, p.To} }

// Try is the address of the page Try with both sides: what fired and what failed on each. Empty: it has no input to give.
func (f shownFlip) Try() string {
	t := tryPage{Path: f.Path, At: trySideOf(f.from), Beside: trySideOf(f.to)}
	switch {
	case f.DecisionID != "":
		return t.Here() + "&" + url.Values{"record": {f.DecisionID}}.Encode()
	case len(f.Input) > 0 && len(f.Input) <= maxInAddress:
		t.Input = raw(f.Input)
		return t.Here()
	default:
		return ""
	}
}

// trySideOf is what the page Try calls a side of a comparison.
func trySideOf(side string) string {
	if side == api.SideHeld {
		return api.SideCandidate
	}
	return side
}
