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

	File    string // that is open; empty: none is
	Line    int    // 0: none
	Of      string // the side that it is read from
	Open    api.FileAnswer
	Problem string
}

// policy shows a file as it is written, at a place.
func (c *Console) policy(v *visit) error {
	query := v.r.URL.Query()
	p := policyPage{
		frame: v.frameWithEditor("Policy"), File: query.Get("file"), Of: cmp.Or(query.Get("of"), api.SideServing),
	}
	if text := query.Get("line"); text != "" {
		line, err := strconv.Atoi(text)
		if err != nil || line < 0 {
			return badRequest("line", "line is "+strconv.Quote(text)+": a number was expected")
		}
		p.Line = line
	}
	if p.File != "" {
		p.Title = p.File
		err := v.get(pathOf(p.File), url.Values{"of": {p.Of}}, &p.Open)
		if answer := (&answerError{}); errors.As(err, &answer) {
			p.Problem = answer.Message
		} else if err != nil {
			return err
		}
	}
	return v.show("policy", p)
}

// EditorKind is the kind of editor that fits the open file.
func (p policyPage) EditorKind() string {
	if p.Open.Kind == api.FileData && strings.HasSuffix(p.File, ".json") {
		return "json"
	}
	return "rego"
}

// pathOf is that of the route which has the text of a file. Slashes are escaped as well, so that no name leads elsewhere.
func pathOf(file string) string { return "/policy/files/" + url.PathEscape(file) }

// fileAt is the address of a file at a line; 0: at its beginning. of is the side that it is read from.
func fileAt(of, file string, line int) string {
	query := url.Values{"file": {file}}
	if of != api.SideServing {
		query.Set("of", of)
	}
	if line > 0 {
		query.Set("line", strconv.Itoa(line))
	}
	return api.ConsolePrefix + "policy?" + query.Encode()
}
