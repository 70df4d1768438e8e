package console

import (
	"cmp"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"defenseclaw/api"
)

// policyPage is what the page Policy shows.
type policyPage struct {
	frame

	Q       string // what is looked for
	InText  bool   // in the text of modules, and not in the names of packages, rules and files
	After   string // the package behind which the outline begins
	Outline api.PackagesAnswer
	Found   api.SearchAnswer

	File    string // that is open; empty: none is
	Line    int    // 0: none
	Of      string // the side that it is read from
	Open    api.FileAnswer
	Own     *api.PolicyPackage // that the open file belongs to; nil: none that serves
	Problem string             // why the file is not shown

	Lines    bool               // it is asked which lines decisions reach
	Behind   string             // without an open file: the module behind which the list of modules begins
	Coverage api.CoverageAnswer // of the open file, in the part that has it
	NotKnown string             // why there is no coverage

	Since   string // the revision that the page was made of
	Serving string // the revision that serves; empty: not known to be another
}

// policy shows what the policy declares, and a file as it is written.
func (c *Console) policy(v *visit) error {
	query := v.r.URL.Query()
	p := policyPage{
		frame: v.frameWithEditor("Policy"), Q: query.Get("q"), InText: query.Get("in") == "text", After: query.Get("after"),
		File: query.Get("file"), Of: cmp.Or(query.Get("of"), api.SideServing), Since: query.Get("since"),
		Lines: query.Get("lines") == "reached", Behind: query.Get("behind"),
	}
	if text := query.Get("line"); text != "" {
		line, err := strconv.Atoi(text)
		if err != nil || line < 0 {
			return badRequest("line", "line is "+strconv.Quote(text)+": a number was expected")
		}
		p.Line = line
	}
	for _, look := range p.looks(query.Get("part")) {
		if err := look(v); err != nil {
			return err
		}
	}
	return v.show("policy", &p)
}

// looks are what fills in a part of the page; "" is all of it.
func (p *policyPage) looks(part string) []func(*visit) error {
	switch part {
	case "news":
		return []func(*visit) error{p.lookAtServing}
	case "file":
		return []func(*visit) error{p.lookAtPackage, p.open, p.lookAtLines}
	default:
		return []func(*visit) error{p.look, p.lookAtPackage, p.open}
	}
}

func (p *policyPage) lookAtServing(v *visit) error {
	var status api.StatusAnswer
	err := v.get("/policy/status", nil, &status)
	p.Serving = status.Revision
	return err
}

// look fills in the outline, or the lines that have the text.
func (p *policyPage) look(v *visit) error {
	var err error
	if p.InText && p.Q != "" {
		err = v.get("/policy/search", url.Values{"q": {p.Q}}, &p.Found)
	} else {
		q := api.PackagesQuery{Q: p.Q, After: p.After}
		err = v.get("/policy/packages", q.Values(), &p.Outline)
	}
	p.Since = cmp.Or(p.Outline.Revision, p.Found.Revision)
	return err
}

// lookAtPackage finds the package of the open file. A package that is asked for itself has its first file opened.
func (p *policyPage) lookAtPackage(v *visit) error {
	q := api.PackagesQuery{File: p.File, Package: v.r.URL.Query().Get("package")}
	if q.File == "" && q.Package == "" {
		return nil
	}
	var answer api.PackagesAnswer
	if err := v.get("/policy/packages", q.Values(), &answer); err != nil {
		return err
	}
	if len(answer.Packages) > 0 {
		p.Own = &answer.Packages[0]
		cut(&p.Own.Files, &p.Own.MoreFiles)
		cut(&p.Own.RefersTo, &p.Own.MoreRefersTo)
		cut(&p.Own.ReferredBy, &p.Own.MoreReferredBy)
		p.File = cmp.Or(p.File, p.Own.Files[0])
	} else if p.File == "" {
		p.Problem = "no package of this name serves"
	}
	return nil
}

// shownNames bounds the names of a list on the page: ten thousand packages may refer to one.
const shownNames = 200

func cut(names *[]string, more *int) {
	if n := len(*names); n > shownNames {
		*names, *more = (*names)[:shownNames], *more+n-shownNames
	}
}

// open fills in the file.
func (p *policyPage) open(v *visit) error {
	if p.File == "" {
		return nil
	}
	p.Title = p.File
	err := v.getLoaded(pathOf(p.File), url.Values{"of": {p.Of}}, &p.Open)
	if answer := (&answerError{}); errors.As(err, &answer) {
		p.Problem = answer.Message
		return nil
	}
	return err
}

// EditorKind is the kind of editor that fits the open file.
func (p *policyPage) EditorKind() string {
	if p.Open.Kind == api.FileData && strings.HasSuffix(p.File, ".json") {
		return "json"
	}
	return "rego"
}

// Changed reports whether another policy serves than when the page was made.
func (p *policyPage) Changed() bool { return p.Serving != "" && p.Since != p.Serving }

// Way says how the side of the open file came to be.
func (p *policyPage) Way() string {
	switch p.Of {
	case api.SideServing:
		return "As it serves"
	case api.SideDisk:
		return "As it is on disk"
	case api.SideHeld:
		return "As it waits for an approval"
	default:
		return "As it was kept, " + p.Of
	}
}
