package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine/source"
)

// FileAnswer is the body of GET /policy/files/{path}.
type FileAnswer struct {
	Path     string `json:"path"`
	Of       string `json:"of"`       // the side, as it was asked for
	Revision string `json:"revision"` // of the side
	Kind     string `json:"kind"`     // module, test or data
	Bytes    int    `json:"bytes"`
	Text     string `json:"text"` // empty with Left
	Left     string `json:"left_out,omitempty"`
}

// maxFileText bounds the text of an answer.
const maxFileText = 1 << 20

// The kinds of [FileAnswer].
const (
	FileModule = "module"
	FileTest   = "test"
	FileData   = "data"
)

// file is GET /policy/files/{path}: a file of one side, as it is written. Nothing is parsed, so that a file can be seen that
// does not parse. Only files that are policy are there.
func (s *Server) file(w http.ResponseWriter, r *http.Request) error {
	of := cmp.Or(r.URL.Query().Get("of"), SideServing)
	if !sideNames.MatchString(of) {
		return decision.BadRequest("of is %q: expected serving, disk, held, a number of the history or the beginning of a revision", of[:min(len(of), 100)])
	}
	name := r.PathValue("path")
	files, revision, err := s.filesOf(r.Context(), of)
	if err != nil {
		return s.writeSideError(w, of, err)
	}
	i, ok := slices.BinarySearchFunc(files, name, func(f *source.File, name string) int { return strings.Compare(f.Path, name) })
	if !ok {
		return &decision.HTTPError{Status: http.StatusNotFound, Message: of + " has no file of this name"}
	}
	f := files[i]
	answer := FileAnswer{Path: f.Path, Of: of, Revision: revision, Kind: kindName(f.Kind()), Bytes: len(f.Bytes)}
	by, _ := r.Context().Value(requesterKey{}).(requester)
	if answer.Kind == FileData && !by.caller.Scopes.Has(gate.ScopeQuery) { // as for documents of data files
		err := lacks(by.caller, gate.ScopeQuery, "the text of a data file")
		s.recordRefused(r, by.caller.Name, err.Error())
		return err
	}
	switch {
	case len(f.Bytes) > maxFileText:
		answer.Left = "it has more than a megabyte"
	case !utf8.Valid(f.Bytes):
		answer.Left = "it is not UTF-8"
	default:
		answer.Text = string(f.Bytes)
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func kindName(k source.Kind) string {
	switch k {
	case source.KindModule:
		return FileModule
	case source.KindTest:
		return FileTest
	default:
		return FileData
	}
}

// filesOf are the files of a side, by path. Those of the disk and the history have tests among them.
func (s *Server) filesOf(ctx context.Context, of string) (files []*source.File, revision string, err error) {
	if of == SideServing || of == SideHeld {
		g, err := s.side(ctx, of)
		if err != nil {
			return nil, "", err
		}
		return g.Files(), g.Revision(), nil
	}
	if s.cfg.Engine == nil {
		return nil, "", decision.ErrNoPolicy
	}
	src, err := s.source(ctx, of)
	if err != nil {
		return nil, "", err
	}
	reading, err := s.cfg.Engine.ReadAside(ctx, src)
	if err != nil {
		return nil, "", err
	}
	return reading.Files(), reading.Revision(), nil
}

// File asks for a file of a side: "serving", "disk", "held", a number of the history, or the beginning of a revision.
func (c *Client) File(ctx context.Context, path, of string) (answer FileAnswer, err error) {
	return answer, c.get(ctx, "/policy/files/"+url.PathEscape(path)+"?"+url.Values{"of": {of}}.Encode(), &answer)
}
