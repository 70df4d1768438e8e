package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/history"

	"github.com/open-policy-agent/opa/v1/ast"
)

// BlameAnswer is the body of GET /policy/blame: what changed a rule or a place of data.
type BlameAnswer struct {
	Path   string       `json:"path"`  // that was asked for, as Rego writes it
	Place  string       `json:"place"` // the rule, package or place of data that the history tells of, at path or above it
	Kind   string       `json:"kind"`  // rule, package or data
	Newest BlameChange  `json:"newest"`
	Before *BlameChange `json:"before"` // null: none is known
}

// BlameChange is one change.
type BlameChange struct {
	Change string       `json:"change"` // added, changed, removed, or there: it was so when the history began
	Since  uint64       `json:"since"`  // the number of the entry that it differs from; 0: none is known
	Entry  HistoryEntry `json:"entry"`
}

// Blame looks a place up in a history.
func Blame(store *history.Store, path string) (BlameAnswer, error) {
	found, err := store.Blame(path)
	if err != nil {
		return BlameAnswer{}, err
	}
	change := func(c history.Change) BlameChange {
		return BlameChange{Change: c.Kind, Since: c.Since, Entry: historyEntry(c.Record)}
	}
	answer := BlameAnswer{Path: path, Place: found.Place, Kind: found.Kind, Newest: change(found.Changes[0])}
	if len(found.Changes) > 1 {
		before := change(found.Changes[1])
		answer.Before = &before
	}
	return answer, nil
}

// BlamePath reads what a caller names: a path such as data.p.allow or p/allow, or FILE:LINE of the policy g, which
// may be nil if there is none.
func BlamePath(g *engine.Generation, text string) (string, error) {
	if file, row, ok := fileAndLine(text); ok {
		return ruleAt(g, file, row)
	}
	if strings.HasPrefix(text, "data.") || strings.HasPrefix(text, "data[") || text == "data" {
		ref, err := ast.ParseRef(text)
		if err == nil && ref.IsGround() {
			return ref.String(), nil
		}
	} else if path, err := engine.ParsePath(text); err == nil && len(path) > 0 {
		ref := ast.Ref{ast.DefaultRootDocument}
		for _, part := range path {
			ref = append(ref, ast.StringTerm(part))
		}
		return ref.String(), nil
	}
	return "", fmt.Errorf("path is %q: a path such as data.p.allow or p/allow, or FILE:LINE, was expected", text)
}

func fileAndLine(text string) (file string, row int, ok bool) {
	at := strings.LastIndexByte(text, ':')
	if at < 1 || at == len(text)-1 || strings.Trim(text[at+1:], "0123456789") != "" {
		return "", 0, false
	}
	row, err := strconv.Atoi(text[at+1:])
	if err != nil {
		row = 0 // it has too many digits: no rule is there
	}
	return text[:at], row, true
}

// ruleAt is the path of the last rule that begins at or above a line.
func ruleAt(g *engine.Generation, file string, row int) (string, error) {
	if g == nil {
		return "", decision.ErrNoPolicy
	}
	module := g.Module(file)
	if module == nil {
		return "", fmt.Errorf("%s is no Rego file of the policy", file)
	}
	path := ""
	for _, rule := range module.Rules {
		if rule.Location != nil && rule.Location.Row <= row {
			path = rule.Ref().GroundPrefix().String()
		}
	}
	if path == "" {
		return "", fmt.Errorf("%s has no rule at line %d or above it", file, row)
	}
	return path, nil
}

// blame is GET /policy/blame.
func (s *Server) blame(w http.ResponseWriter, r *http.Request) error {
	past, err := s.past(r.Context())
	if err != nil {
		return err
	}
	path, err := BlamePath(s.current(), r.URL.Query().Get("path"))
	if err != nil {
		return decision.BadRequest("%s", err)
	}
	answer, err := Blame(past, path)
	if err != nil {
		return historyError(err)
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}
