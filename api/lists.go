package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

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
	Changed bool         `json:"changed"`           // false: it was so before
	Entry   *audit.Entry `json:"entry,omitempty"`   // as it is on the list now; none after a removal
	Warning string       `json:"warning,omitempty"` // why the entry may not do what is meant by it
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

// ListRequest is the body of POST /policy/lists/{list}, and of DELETE, which needs the first two. What else it lacks stays as
// an entry that the target has on the list has it.
type ListRequest struct {
	TargetType string `json:"target_type"`
	TargetName string `json:"target_name"`
	Reason     string `json:"reason"`
	SourcePath string `json:"source_path,omitempty"`
	ExpiresAt  string `json:"expires_at,omitempty"` // RFC 3339, or never
}

// entry is the entry that the request asks for.
func (in *ListRequest) entry() (audit.Entry, error) {
	e := audit.Entry{
		TargetType: in.TargetType, TargetName: in.TargetName, Reason: in.Reason, SourcePath: in.SourcePath, ExpiresAt: audit.KeepExpiry,
	}
	switch in.ExpiresAt {
	case "":
	case "never":
		e.ExpiresAt = time.Time{}
	default:
		at, err := time.Parse(time.RFC3339Nano, in.ExpiresAt)
		if err != nil || at.Before(time.Now()) {
			return e, decision.BadRequest("expires_at is %.100q: expected a moment to come, such as %s, or never",
				in.ExpiresAt, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
		}
		e.ExpiresAt = at.UTC()
	}
	return e, nil
}

// TargetTypes are the types of targets that the clients of this gateway ask admission about.
var TargetTypes = []string{"skill", "mcp", "plugin"}

// changeList is POST and DELETE /policy/lists/{list}: it puts a target on a list, or takes it off.
func (s *Server) changeList(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	var in ListRequest
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	entry, err := in.entry()
	if err != nil {
		return err
	}
	entry.List, entry.Actor = r.PathValue("list"), callerName(r.Context())
	check := entry.Validate
	if r.Method == http.MethodDelete {
		check = entry.ValidateRemoval
	}
	if err := check(); err != nil {
		return decision.BadRequest("%s", err)
	}
	id := r.Header.Get(HeaderRequestID)
	answer := ListAnswer{Changed: true}
	if r.Method == http.MethodDelete {
		err = s.cfg.Audit.RemoveEntry(r.Context(), entry, id)
	} else {
		var now audit.Entry
		now, answer.Changed, err = s.cfg.Audit.AddEntry(r.Context(), entry, id)
		answer.Entry = &now
		if !slices.Contains(TargetTypes, entry.TargetType) {
			answer.Warning = fmt.Sprintf("target_type is %q: the entry counts only for callers that name this type; known are %s",
				entry.TargetType, strings.Join(TargetTypes, ", "))
		}
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
