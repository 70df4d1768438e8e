package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"defenseclaw/api"
)

// tryPage is what the page Try shows.
type tryPage struct {
	frame

	Path   string
	Input  string
	Time   string // what the policy's clock says; empty: now
	At     string
	Beside string // another side, whose answer is shown beside; empty: none
	Record string // the recorded decision that path and input are of
	Masked bool   // something of it is not what was asked

	Documents api.DocumentsAnswer
	Sides     []trySide
	Problem   string // why nothing was tried
	Tries     []tried
}

// trySide is a policy that may be chosen.
type trySide struct{ Name, Text string }

// maxInAddress bounds an input that an address has in it, in bytes.
const maxInAddress = 1000

// try shows a form, and what the document in it is for the input, and why. By GET it evaluates where the address has an input.
func (c *Console) try(v *visit) error {
	p := tryPage{
		frame: v.frameWithEditor("Try"), Path: v.r.FormValue("path"), Input: v.r.FormValue("input"), Time: v.r.FormValue("time"),
		At: cmp.Or(v.r.FormValue("at"), api.SideServing), Beside: v.r.FormValue("beside"), Record: v.r.FormValue("record"),
	}
	if v.r.Method == http.MethodGet && v.r.URL.Query().Get("part") == "documents" {
		p.look(v)
		return v.show("try", &p)
	}
	evaluate := !v.again && (v.r.Method == http.MethodPost || v.r.Form.Has("input"))
	if p.Record != "" && !evaluate {
		evaluate = p.take(v)
	}
	p.Title = cmp.Or(p.Path, p.Title)
	p.look(v)
	p.offerSides(v)
	if p.Path != "" && p.Problem == "" && evaluate {
		p.evaluate(v)
	}
	return v.show("try", &p)
}

// Rows are the lines of the field for the input: as many as it has, so that there is no gap below a short one.
func (p *tryPage) Rows() int { return min(max(strings.Count(p.Input, "\n")+2, 5), 20) }

// look lists the documents whose path is like the one in the form.
func (p *tryPage) look(v *visit) {
	query := url.Values{"at": {p.At}}
	if len(p.Path) <= 200 {
		query.Set("q", p.Path)
	}
	if err := v.getLoaded("/policy/try", query, &p.Documents); err != nil {
		p.Problem = cmp.Or(p.Problem, messageOf(err))
	}
}

func messageOf(err error) string {
	if answer := (&answerError{}); errors.As(err, &answer) {
		return answer.Message
	}
	return err.Error()
}

// take reads a recorded decision, and reports whether it can be tried.
func (p *tryPage) take(v *visit) bool {
	var record struct {
		Path   string          `json:"path"`
		Input  json.RawMessage `json:"input"`
		Time   time.Time       `json:"time"`
		Masked bool            `json:"masked"`
	}
	if err := v.get("/policy/recordings/decisions/"+url.PathEscape(p.Record), nil, &record); err != nil {
		p.Problem = "the recorded decision " + strconv.Quote(p.Record) + ": " + messageOf(err)
		return false
	}
	p.Path, p.Masked = cmp.Or(p.Path, record.Path), record.Masked
	if p.Input = ""; len(record.Input) > 0 {
		p.Input = indented(record.Input)
	}
	if !record.Time.IsZero() {
		p.Time = instant(record.Time)
	}
	return true
}

// keptSides bounds the policies of the history that the form offers.
const keptSides = 20

func (p *tryPage) offerSides(v *visit) {
	p.Sides = []trySide{
		{api.SideServing, "what serves"}, {api.SideCandidate, "the candidate that waits"}, {api.SideDisk, "what the files hold now"},
	}
	var entries []api.HistoryEntry
	if v.get("/policy/history", url.Values{"limit": {"200"}}, &entries) == nil { // the form is as good without
		for _, e := range entries {
			if e.Kept && len(p.Sides) < keptSides+3 {
				p.Sides = append(p.Sides, trySide{strconv.FormatUint(e.Seq, 10), "number " + strconv.FormatUint(e.Seq, 10) + ", since " + when(e.ServedFrom)})
			}
		}
	}
	for _, name := range []string{p.At, p.Beside} {
		if name != "" && !slices.ContainsFunc(p.Sides, func(s trySide) bool { return s.Name == name }) {
			p.Sides = append(p.Sides, trySide{name, name})
		}
	}
}

// evaluate asks for each side that is chosen.
func (p *tryPage) evaluate(v *visit) {
	in := api.TryRequest{Path: p.Path, Explain: true, Coverage: true, Source: true}
	if text := strings.TrimSpace(p.Input); text != "" {
		if err := json.Unmarshal([]byte(text), &in.Input); err != nil {
			p.Problem = "the input is not JSON: " + err.Error()
			return
		}
	}
	if p.Time != "" {
		at, err := time.Parse(time.RFC3339, p.Time)
		if err != nil {
			p.Problem = "the time is " + strconv.Quote(p.Time) + ": one such as 2026-01-02T15:04:05Z was expected"
			return
		}
		in.Time = &at
	}
	for _, at := range []string{p.At, p.Beside} {
		if at == "" {
			continue
		}
		in.At = at
		t := tried{At: at, Name: p.nameOf(at)}
		if _, err := v.post("/policy/try", in, &t); err != nil {
			t.Problem = messageOf(err)
		}
		t.At = at
		p.Tries = append(p.Tries, t)
	}
}

func (p *tryPage) nameOf(side string) string {
	for _, s := range p.Sides {
		if s.Name == side {
			return s.Text
		}
	}
	return side
}

// Here is the address of this try; without the input where that is long.
func (p *tryPage) Here() string {
	return p.address(p.Path, p.Input)
}

// Choose is the address of the form with another document.
func (p *tryPage) Choose(path string) string { return p.address(path, "") }

func (p *tryPage) address(path, input string) string {
	query := url.Values{"path": {path}}
	if p.At != api.SideServing {
		query.Set("at", p.At)
	}
	if p.Beside != "" {
		query.Set("beside", p.Beside)
	}
	if input != "" && len(input) <= maxInAddress {
		query.Set("input", input)
		if p.Time != "" {
			query.Set("time", p.Time)
		}
	}
	return api.ConsolePrefix + "try?" + query.Encode()
}

// HasInput reports whether the address of this try has all of it.
func (p *tryPage) HasInput() bool { return len(p.Input) <= maxInAddress }

// Differ reports whether two sides come to different answers.
func (p *tryPage) Differ() bool {
	return len(p.Tries) == 2 && p.Tries[0].Outcome() != p.Tries[1].Outcome()
}

// Packages are the documents that are offered, by package, each in the order of the answer.
func (p *tryPage) Packages() (packages []tryPackage) {
	at := map[string]int{}
	for _, d := range p.Documents.Documents {
		i, ok := at[d.Package]
		if !ok {
			i = len(packages)
			at[d.Package] = i
			packages = append(packages, tryPackage{Name: d.Package})
		}
		packages[i].Documents = append(packages[i].Documents, d)
	}
	return packages
}

// tryPackage is what a package has to try.
type tryPackage struct {
	Name      string
	Documents []api.Document
}
