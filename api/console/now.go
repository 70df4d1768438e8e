package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"defenseclaw/api"
)

// level is how well something is. The pages show each by a word, a colour and a shape.
type level string

const (
	well  level = "well"
	look  level = "look"  // something waits for a person
	wrong level = "wrong" // something does not work
)

// nowPage is what the page Now shows.
type nowPage struct {
	frame

	Level    level
	Headline string // one line that says whether all is well
	Status   api.StatusAnswer
	Orders   []offer
	Parts    []part
	Activity hour
}

// part is one of the things that a sidecar consists of.
type part struct {
	Name  string
	Level level
	Text  string
}

// now shows what serves, and whether all is well.
func (c *Console) now(v *visit) error {
	p := nowPage{frame: v.frame("Now")}
	p.Plots = true
	if v.r.URL.Query().Get("part") == "activity" {
		var err error
		if p.Activity, err = v.activity(); err != nil {
			return err
		}
		return v.show("now", p)
	}
	if err := v.get("/policy/status", nil, &p.Status); err != nil {
		return err
	}
	p.Level, p.Headline = headline(p.Status)
	p.Orders = offers(p.Status)
	p.Parts = parts(p.Status)
	for _, one := range p.Parts {
		if one.Level == wrong {
			p.Headline += " " + one.Name + " does not work."
			if p.Level == well {
				p.Level = look
			}
		}
	}
	if v.r.URL.Query().Get("part") == "" {
		var err error
		if p.Activity, err = v.activity(); err != nil {
			return err
		}
	}
	return v.show("now", p)
}

// headline says whether all is well with the policy.
func headline(s api.StatusAnswer) (level, string) {
	control := cmp.Or(s.Control, &api.Control{})
	switch {
	case s.State == "empty":
		return wrong, "No policy is loaded: decisions are answered with 503."
	case control.Stale != nil && control.Stale.Expired:
		return wrong, "The files have been broken for too long: decisions are not made any more."
	case s.State == "stale", s.State == "restored":
		return wrong, "What is on disk does not serve. The last good policy does."
	case control.Mode == "confirming":
		return look, "A change serves on trial: it goes back unless somebody confirms it."
	case control.Mode == "held" && control.Rejected:
		return look, "The newest files were rejected. The policy before them serves."
	case control.Mode == "held":
		return look, "A change waits for an approval. The policy before it serves."
	case control.Mode == "pinned":
		return look, "An order keeps the policy as it is, whatever the files hold."
	case s.Source != nil && sourceProblem(s.Source) != "":
		return look, "The policy serves, and its source does not answer as it should."
	case len(s.Findings) > 0:
		return look, "The policy serves, and decisions have lost something that they use."
	case s.State == "embedded":
		return well, "The default pack in the program serves."
	default:
		return well, "All is well: what is on disk serves."
	}
}

func sourceProblem(s *api.Source) string {
	for _, b := range s.Bundles {
		if problem := cmp.Or(b.Refused, b.Error); problem != "" {
			return problem
		}
	}
	return ""
}

// offer is an order that fits what is going on, with the address of the page that says what it does.
type offer struct {
	Order          string
	Label, Address string
	Style          string // main, danger, or neither
	Says           string // what the order will do
}

func offerOf(label, style, order string, fields ...string) offer {
	query := url.Values{"order": {order}}
	for i := 0; i < len(fields); i += 2 {
		query.Set(fields[i], fields[i+1])
	}
	return offer{order, label, api.ConsolePrefix + "order?" + query.Encode(), style, orders[order].sentence}
}

// Ordered reports whether an order is in force, which says how it goes on.
func (p nowPage) Ordered() bool { return p.Status.Control != nil && p.Status.Control.Mode != "follow" }

// offers are in the order of every page: what is wanted most first, what takes something back last. Where something waits for
// one of them, they are filled and red.
func offers(s api.StatusAnswer) []offer {
	c := s.Control
	if c == nil {
		return nil
	}
	switch c.Mode {
	case "confirming":
		return []offer{offerOf("Confirm", "main", "confirm", "revision", c.Candidate), offerOf("Roll back now", "danger", "rollback")}
	case "held":
		return []offer{offerOf("Approve", "main", "approve", "digest", c.Digest), offerOf("Reject", "danger", "reject", "digest", c.Digest)}
	case "pinned":
		return []offer{offerOf("Follow the files again", "main", "resume")}
	default:
		return []offer{offerOf("Hold what serves", "", "hold"), offerOf("Roll back", "", "rollback")}
	}
}

// parts lists what else may be wrong.
func parts(s api.StatusAnswer) []part {
	all := []part{watchPart(s.Watch)}
	if s.Audit != nil {
		p := part{"Audit", well, "every record is written"}
		if !s.Audit.OK || s.Audit.Lost > 0 || s.Audit.Alarm != "" {
			p = part{"Audit", wrong, cmp.Or(s.Audit.Alarm, fmt.Sprintf("%d records are lost", s.Audit.Lost))}
		}
		all = append(all, p)
	}
	if s.LastGood != nil {
		p := part{"History", well, "what serves is kept for the next start"}
		if s.LastGood.Error != "" {
			p = part{"History", wrong, s.LastGood.Error}
		}
		all = append(all, p)
	}
	if s.Source != nil {
		p := part{"Source", well, s.Source.URL}
		if problem := sourceProblem(s.Source); problem != "" {
			p.Level, p.Text = wrong, p.Text+": "+problem
		}
		all = append(all, p)
	}
	for _, one := range s.Tell(time.Now()) {
		all = append(all, part{one.Name, level(one.Level), one.Text})
	}
	all = append(all, evidenceParts(s)...)
	for _, text := range s.Warnings {
		all = append(all, part{"Warning", look, text})
	}
	return all
}

// evidenceParts are the recorder, the process that evaluates changes, and the file of the settings.
func evidenceParts(s api.StatusAnswer) (all []part) {
	if r := s.Recordings; r != nil {
		p := part{"Recorder", well, plural(r.Records, "decision is", "decisions are") + " recorded"}
		if problem := cmp.Or(r.Error, r.Damaged); problem != "" {
			p = part{"Recorder", wrong, problem}
		}
		all = append(all, p)
	}
	if r := s.Reviewer; r != nil {
		p := part{"Reviewer", well, "evaluates changes in a process of its own"}
		if r.Fault != nil {
			p = part{"Reviewer", look, "it ended at " + instant(r.Fault.At) + ": " + r.Fault.Reason}
			if !r.Running {
				p.Level = wrong
			}
		}
		all = append(all, p)
	}
	if set := s.Settings; set != nil {
		p := part{"Settings", well, "what config.yaml says is in force"}
		switch {
		case set.State == api.SettingsRefused:
			p = part{"Settings", wrong, "config.yaml is refused, and the settings before it stay in force: " + set.Error}
		case len(set.AfterRestart) > 0:
			p = part{"Settings", look, "these take effect after a restart: " + strings.Join(set.AfterRestart, ", ")}
		}
		all = append(all, p)
	}
	return all
}

func watchPart(w api.Watch) part {
	switch w.State {
	case "watching":
		return part{"Watch", well, fmt.Sprintf("%s, %s", w.Mode, plural(w.Directories, "directory", "directories"))}
	case "off":
		return part{"Watch", well, "off: files are read when somebody asks"}
	default:
		return part{"Watch", wrong, cmp.Or(w.Reason, w.State)}
	}
}

// orderPage says what an order will do, before it does.
type orderPage struct {
	frame

	Order    string
	Sentence string
	Button   string
	Style    string      // of the button, beside main
	Fields   [][2]string // that go on with the form
	Reason   string      // as it was typed
	Problem  string
}

// orders are what can be ordered, with what each does.
var orders = map[string]struct{ sentence, button, style string }{
	"hold":     {"What serves now goes on serving, whatever the files hold, until somebody resumes.", "Hold what serves", ""},
	"resume":   {"The files are read, and serve if they are sound.", "Follow the files again", ""},
	"rollback": {"An earlier policy serves from this moment on, and goes on serving whatever the files hold, until somebody resumes. The files stay as they are.", "Roll back", "danger"},
	"confirm":  {"The change that serves on trial goes on serving.", "Confirm", ""},
	"approve":  {"The change that waits serves from this moment on, as it was reviewed. Nothing is read again.", "Approve", ""},
	"reject":   {"The change that waits does not serve. The files stay as they are, and the next edit is looked at anew.", "Reject", "danger"},
}

// historySide is a number of the history or a revision.
var historySide = regexp.MustCompile(`^[0-9a-z:]{1,80}$`)

// orderFields are those of api.ControlRequest that come with a form.
var orderFields = []string{"to", "revision", "digest"}

// ask shows what an order will do.
func (c *Console) ask(v *visit) error { return v.showOrder("") }

func (v *visit) showOrder(problem string) error {
	name := v.r.FormValue("order")
	order, ok := orders[name]
	if !ok {
		return &answerError{Path: "order", Status: http.StatusNotFound, Message: "there is no such order"}
	}
	p := orderPage{frame: v.frame(order.button), Order: name, Sentence: order.sentence, Button: order.button, Style: order.style, Problem: problem, Reason: v.r.PostFormValue("reason")}
	for _, field := range orderFields {
		if value := v.r.FormValue(field); value != "" {
			p.Fields = append(p.Fields, [2]string{field, value})
		}
	}
	if to := v.r.FormValue("to"); name == "rollback" && to != "" {
		if !historySide.MatchString(to) { // a link may come from anybody: the sentence is the console's own
			return badRequest("to", "to is a number of the history, or a revision")
		}
		p.Sentence = "Number " + to + " of the history serves from this moment on, and goes on serving whatever the files hold, until somebody resumes. The files stay as they are."
	}
	return v.show("order", p)
}

// order carries one out.
func (c *Console) order(v *visit) error {
	name := v.r.PostFormValue("order")
	if _, ok := orders[name]; !ok {
		return &answerError{Path: "order", Status: http.StatusNotFound, Message: "there is no such order"}
	}
	body := map[string]string{}
	for _, field := range append(slices.Clone(orderFields), "reason") {
		if value := v.r.PostFormValue(field); value != "" {
			body[field] = value
		}
	}
	if _, err := v.post("/policy/"+name, body, nil); err != nil {
		return v.showOrder(err.Error())
	}
	http.Redirect(v.w, v.r, api.ConsolePrefix, http.StatusSeeOther)
	return nil
}

// reload reads the files.
func (c *Console) reload(v *visit) error {
	status, err := v.post("/policy/reload", nil, nil)
	if err != nil && status != http.StatusInternalServerError && status != http.StatusConflict { // which the page itself shows
		return err
	}
	http.Redirect(v.w, v.r, api.ConsolePrefix, http.StatusSeeOther)
	return nil
}
