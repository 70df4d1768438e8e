package api

import (
	"errors"
	"net/http"

	"defenseclaw/api/audit"
	"defenseclaw/api/internal/decision"
)

// ListsAnswer is the body of GET /policy/lists.
type ListsAnswer struct {
	Block []audit.Entry `json:"block"`
	Allow []audit.Entry `json:"allow"`
}

// ListAnswer is the body of the answer to a change of a list.
type ListAnswer struct {
	Changed bool `json:"changed"` // false: it was so before
}

// lists is GET /policy/lists.
func (s *Server) lists(w http.ResponseWriter, _ *http.Request) error {
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	lists, err := s.cfg.Audit.Lists()
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, ListsAnswer{Block: lists.Block, Allow: lists.Allow})
	return nil
}

// ListRequest is the body of POST /policy/lists/{list}, and of DELETE, which needs the first two.
type ListRequest struct {
	TargetType string `json:"target_type"`
	TargetName string `json:"target_name"`
	Reason     string `json:"reason"`
	SourcePath string `json:"source_path,omitempty"`
}

// changeList is POST and DELETE /policy/lists/{list}: it puts a target on a list, or takes it off.
func (s *Server) changeList(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	var in ListRequest
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	entry := audit.Entry{
		List: r.PathValue("list"), TargetType: in.TargetType, TargetName: in.TargetName,
		Reason: in.Reason, SourcePath: in.SourcePath, Actor: callerName(r.Context()),
	}
	check := entry.Validate
	if r.Method == http.MethodDelete {
		check = entry.ValidateRemoval
	}
	if err := check(); err != nil {
		return decision.BadRequest("%s", err)
	}
	id := r.Header.Get(HeaderRequestID)
	answer := ListAnswer{Changed: true}
	var err error
	if r.Method == http.MethodDelete {
		err = s.cfg.Audit.RemoveEntry(r.Context(), entry, id)
	} else {
		answer.Changed, err = s.cfg.Audit.AddEntry(r.Context(), entry, id)
	}
	if errors.Is(err, audit.ErrNotListed) {
		return &decision.HTTPError{Status: http.StatusNotFound, Message: err.Error()}
	}
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// importLists is POST /policy/lists/import: it takes over entries of the original gateway in one transaction.
func (s *Server) importLists(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	var in audit.Import
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	if err := in.Validate(); err != nil {
		return decision.BadRequest("%s", err)
	}
	done, err := s.cfg.Audit.Import(r.Context(), in, callerName(r.Context()), r.Header.Get(HeaderRequestID))
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, done)
	return nil
}

// listed returns the entries of both lists for a target; none without an audit log, which holds the lists.
func (s *Server) listed(targetType, targetName string) (block, allow []any, err error) {
	if s.cfg.Audit == nil {
		return nil, nil, nil
	}
	lists, err := s.cfg.Audit.Lists()
	if err != nil {
		return nil, nil, err
	}
	blocked, allowed := lists.For(targetType, targetName)
	return anys(blocked), anys(allowed), nil
}

func anys(entries []audit.Entry) (all []any) {
	for _, e := range entries {
		all = append(all, e)
	}
	return all
}
