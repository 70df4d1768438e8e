package console

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strings"

	"defenseclaw/api"
)

// decisionsPage is what the page Decisions shows.
type decisionsPage struct {
	frame

	Query    api.RecordedQuery
	Outcomes []string
	List     api.RecordedList
	Serving  string // the revision
	Problem  string // why there is no list
}

// decisions lists the recorded decisions, the newest first.
func (c *Console) decisions(v *visit) error {
	given := v.r.URL.Query()
	p := decisionsPage{frame: v.frame("Decisions"), Outcomes: api.RecordedOutcomes(), Query: api.RecordedQuery{
		Path: given.Get("path"), Outcome: given.Get("outcome"), Revision: given.Get("revision"), Text: given.Get("text"), Before: given.Get("before"),
	}}
	err := v.get("/policy/recordings/decisions", p.Query.Values(), &p.List)
	if answer := (&answerError{}); errors.As(err, &answer) && (answer.Status == http.StatusBadRequest || answer.Status == http.StatusServiceUnavailable) {
		p.Problem = answer.Message
	} else if err != nil {
		return err
	}
	return v.show("decisions", &p)
}

// Filtered reports whether the list leaves some out by the form.
func (p *decisionsPage) Filtered() bool {
	return p.Query.Path+p.Query.Outcome+p.Query.Revision+p.Query.Text != ""
}

// InputsToo reports whether the text is looked for in inputs.
func (p *decisionsPage) InputsToo() bool {
	for _, place := range p.List.Searched {
		if place == "input" {
			return true
		}
	}
	return false
}

// Older is the address of the next page; empty: this is the last.
func (p *decisionsPage) Older() string {
	if p.List.Next == "" {
		return ""
	}
	return p.page(p.List.Next)
}

// Newest is the address of the first page.
func (p *decisionsPage) Newest() string { return p.page("") }

func (p *decisionsPage) page(before string) string {
	q := p.Query
	q.Before = before
	address := api.ConsolePrefix + "decisions"
	if values := q.Values().Encode(); values != "" {
		address += "?" + values
	}
	return address
}

// Address is that of one decision.
func (p *decisionsPage) Address(id string) string { return decisionAddress(id) }

func decisionAddress(id string) string { return api.ConsolePrefix + "decisions/" + url.PathEscape(id) }

// decisionPage is one decision, opened.
type decisionPage struct {
	frame

	Decision  api.RecordedDecision
	By        string // number of the history of the policy that decided, in words; empty: not known
	Why       *tried
	NotKept   bool   // the policy that decided is not kept: Why is by what serves
	Candidate *tried // nil: there is none
	Waiting   string // what the candidate is
	Wanted    bool   // a test is
	Test      api.RecordedTest
	NoTest    string // why there is none
}

// decision shows one with its input, why it came out so, what the candidate says, and a test of it.
func (c *Console) decision(v *visit) error {
	id := v.r.PathValue("id")
	p := decisionPage{frame: v.frameWithEditor("Decision"), Wanted: v.r.URL.Query().Get("test") == "yes"}
	if err := v.get("/policy/recordings/decisions/"+url.PathEscape(id), nil, &p.Decision); err != nil {
		return err
	}
	p.Title = p.Decision.Path
	var status api.StatusAnswer
	if err := v.get("/policy/status", nil, &status); err != nil {
		return err
	}
	p.explain(v, status)
	if p.Waiting = waiting(status); p.Waiting != "" {
		p.Candidate = p.try(v, p.Waiting, map[string]string{api.SideCandidate: "What the candidate says", api.SideDisk: "What the files say now"}[p.Waiting])
	}
	if p.Wanted {
		if err := v.get("/policy/recordings/decisions/"+url.PathEscape(id)+"/test", nil, &p.Test); err != nil {
			p.NoTest = messageOf(err)
		}
	}
	return v.show("decision", &p)
}

// explain asks the policy that decided or, where that is not kept, what serves.
func (p *decisionPage) explain(v *visit, status api.StatusAnswer) {
	const name = "Why, by the policy that decided"
	if p.Decision.Revision == status.Revision {
		p.Why = p.try(v, api.SideServing, name)
		return
	}
	var entry api.HistoryEntry
	if p.Decision.Revision != "" && v.get("/policy/history/"+url.PathEscape(p.Decision.Revision), nil, &entry) == nil && entry.Kept {
		if p.Why = p.try(v, p.Decision.Revision, name); p.Why.Problem == "" {
			return
		}
	}
	p.NotKept = true
	p.Why = p.try(v, api.SideServing, "By what serves now")
}

// waiting is the side that may serve next; empty: none waits.
func waiting(s api.StatusAnswer) string {
	control := cmp.Or(s.Control, &api.Control{})
	switch {
	case control.Mode == "held", control.Mode == "confirming":
		return api.SideCandidate
	case s.State == "stale", control.Disk != nil && control.Disk.State != "same":
		return api.SideDisk
	default:
		return ""
	}
}

func (p *decisionPage) try(v *visit, at, name string) *tried {
	t := &tried{Name: name}
	in := api.TryRequest{Path: p.Decision.Path, Input: p.Decision.Input, At: at, Explain: true, Time: &p.Decision.Time}
	if p.Decision.Time.IsZero() {
		in.Time = nil
	}
	if _, err := v.post("/policy/try", in, t); err != nil {
		t.Problem = messageOf(err)
	}
	t.At = at
	return t
}

// StandsFor is how many decisions it stands for.
func (p *decisionPage) StandsFor() string {
	return plural(int(math.Round(p.Decision.Seen)), "decision", "decisions")
}

// Same reports whether a policy comes to what is on record.
func (p *decisionPage) Same(t *tried) bool {
	if p.Decision.Error != "" || t.Failed != "" {
		return p.Decision.Error != "" && t.Failed != ""
	}
	return t.Problem == "" && t.Defined == p.Decision.Defined && raw(t.Result) == raw(p.Decision.Result)
}

// Answer is what is on record, in one line.
func (p *decisionPage) Answer() string { return cmp.Or(p.Decision.Error, raw(p.Decision.Result)) }

// Flips says whether what may serve next decides otherwise; empty: it cannot be told.
func (p *decisionPage) Flips() string {
	subject := "The candidate"
	if p.Waiting == api.SideDisk {
		subject = "What the files hold"
	}
	switch {
	case p.Candidate == nil || p.Candidate.Problem != "":
		return ""
	case p.Same(p.Candidate):
		return subject + " answers the same."
	default:
		return subject + " flips it: " + brief(p.Answer()) + " → " + brief(p.Candidate.Outcome()) + "."
	}
}

// brief is a text that fits into a sentence.
func brief(text string) string {
	const most = 80
	if runes := []rune(strings.Join(strings.Fields(text), " ")); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// Try is the address of the page Try with this decision.
func (p *decisionPage) Try() string {
	query := url.Values{"record": {p.Decision.DecisionID}}
	if p.Waiting != "" {
		query.Set("beside", p.Waiting)
	}
	return api.ConsolePrefix + "try?" + query.Encode()
}

// MakeTest is the address of this page with the test.
func (p *decisionPage) MakeTest() string {
	return decisionAddress(p.Decision.DecisionID) + "?test=yes#test"
}

// Alike is the address of the list with the decisions of the same path and policy.
func (p *decisionPage) Alike() string {
	q := decisionsPage{Query: api.RecordedQuery{Path: p.Decision.Path}}
	return q.page("")
}
