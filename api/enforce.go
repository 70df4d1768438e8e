package api

import (
	"cmp"
	"errors"
	"net/http"
	"path"
	"slices"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/api/internal/decision"

	"github.com/google/uuid"
)

// The routes below /enforce are those of the original gateway, whose clients change and read its lists by them. They work on
// the lists of /policy/lists.

// enforceRequest is the body of POST and DELETE /enforce/block and of POST /enforce/allow.
type enforceRequest struct {
	TargetType string `json:"target_type"`
	TargetName string `json:"target_name"`
	Reason     string `json:"reason"`
}

// enforceAnswer is the answer to a change.
type enforceAnswer struct {
	Status string `json:"status"`
}

// enforceEntry is one element of the answers to GET /enforce/blocked and /enforce/allowed.
type enforceEntry struct {
	ID         string    `json:"id"`
	TargetType string    `json:"target_type"`
	TargetName string    `json:"target_name"`
	Reason     string    `json:"reason"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// enforceBlock is POST and DELETE /enforce/block.
func (s *Server) enforceBlock(w http.ResponseWriter, r *http.Request) error {
	entry, err := s.enforceEntry(r, audit.ListBlock)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		return s.enforceAdd(w, r, entry, "blocked")
	}
	if err := entry.ValidateRemoval(); err != nil {
		return decision.BadRequest("%s", err)
	}
	// The original clears what was said of the target, whichever it was, and takes it for done where nothing was.
	for _, list := range []string{audit.ListBlock, audit.ListAllow} {
		entry.List = list
		if err := s.cfg.Audit.RemoveEntry(r.Context(), entry, r.Header.Get(HeaderRequestID)); err != nil && !errors.Is(err, audit.ErrNotListed) {
			return err
		}
	}
	decision.WriteJSON(w, http.StatusOK, enforceAnswer{"unblocked"})
	return nil
}

// enforceAllow is POST /enforce/allow.
func (s *Server) enforceAllow(w http.ResponseWriter, r *http.Request) error {
	entry, err := s.enforceEntry(r, audit.ListAllow)
	if err != nil {
		return err
	}
	if entry.TargetType == "plugin" { // the original's clients send the plug-in's folder
		if name := path.Base(entry.TargetName); name != "." && name != "/" {
			entry.TargetName = name
		}
	}
	return s.enforceAdd(w, r, entry, "allowed")
}

func (s *Server) enforceEntry(r *http.Request, list string) (audit.Entry, error) {
	if s.cfg.Audit == nil {
		return audit.Entry{}, errNoAudit
	}
	var in enforceRequest
	if err := decision.Decode(r, &in); err != nil {
		return audit.Entry{}, err
	}
	if in.TargetType == "" || in.TargetName == "" {
		return audit.Entry{}, decision.BadRequest("target_type and target_name are required")
	}
	return audit.Entry{
		List: list, TargetType: in.TargetType, TargetName: in.TargetName, Reason: in.Reason, Actor: callerName(r.Context()),
	}, nil
}

func (s *Server) enforceAdd(w http.ResponseWriter, r *http.Request, entry audit.Entry, status string) error {
	entry.Reason = cmp.Or(entry.Reason, status+" by "+r.Method+" "+r.URL.Path)
	if err := entry.Validate(); err != nil {
		return decision.BadRequest("%s", err)
	}
	if _, _, err := s.cfg.Audit.AddEntry(r.Context(), entry, r.Header.Get(HeaderRequestID)); err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, enforceAnswer{status})
	return nil
}

// enforceBlocked is GET /enforce/blocked.
func (s *Server) enforceBlocked(w http.ResponseWriter, _ *http.Request) error {
	return s.enforceList(w, func(l *audit.Lists) []audit.Entry { return l.Block })
}

// enforceAllowed is GET /enforce/allowed.
func (s *Server) enforceAllowed(w http.ResponseWriter, _ *http.Request) error {
	return s.enforceList(w, func(l *audit.Lists) []audit.Entry { return l.Allow })
}

// enforceList answers a list, the newest entry first.
func (s *Server) enforceList(w http.ResponseWriter, of func(*audit.Lists) []audit.Entry) error {
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	lists, err := s.cfg.Audit.Lists()
	if err != nil {
		return err
	}
	all := []enforceEntry{}
	for _, e := range of(lists) {
		// Entries have no id here; one that is made of the name stays the same.
		id := uuid.NewSHA1(uuid.NameSpaceURL, []byte("defenseclaw:"+e.List+"/"+e.TargetType+"/"+e.TargetName))
		all = append(all, enforceEntry{id.String(), e.TargetType, e.TargetName, e.Reason, e.CreatedAt})
	}
	slices.SortStableFunc(all, func(a, b enforceEntry) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
	decision.WriteJSON(w, http.StatusOK, all)
	return nil
}
