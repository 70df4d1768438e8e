package api

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"defenseclaw/api/audit"
	"defenseclaw/api/internal/decision"
)

var errNoAudit = &httpError{http.StatusServiceUnavailable, "there is no audit log"}

// RecordsAnswer is the body of GET /audit/records, newest first.
type RecordsAnswer struct {
	Records []audit.Record `json:"records"`
	Next    int64          `json:"next,omitempty"` // before=NEXT gives the next page; 0: there is none
}

// records is GET /audit/records.
func (s *Server) records(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	filter, err := audit.ParseFilter(r.URL.Query())
	if err != nil {
		return badRequest("%s", err)
	}
	found, err := s.cfg.Audit.Query(r.Context(), filter)
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, NewRecordsAnswer(found, filter))
	return nil
}

// NewRecordsAnswer tells where the next page begins.
func NewRecordsAnswer(found []audit.Record, filter audit.Filter) RecordsAnswer {
	answer := RecordsAnswer{Records: found}
	if len(found) > 0 && len(found) == filter.PageSize() {
		answer.Next = found[len(found)-1].Seq
	}
	return answer
}

// verifyRecords is GET /audit/verify: head=SEQ:HASH, as often as heads were noted elsewhere.
func (s *Server) verifyRecords(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	var noted []audit.Head
	for _, text := range r.URL.Query()["head"] {
		head, err := ParseHead(text)
		if err != nil {
			return badRequest("%s", err)
		}
		noted = append(noted, head)
	}
	report, err := s.cfg.Audit.Verify(r.Context(), noted...)
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, report)
	return nil
}

// ParseHead reads SEQ:HASH, as audit verify prints it.
func ParseHead(text string) (audit.Head, error) {
	seq, hash, ok := strings.Cut(text, ":")
	n, err := strconv.ParseInt(seq, 10, 64)
	if !ok || err != nil || n < 1 || hash == "" {
		return audit.Head{}, fmt.Errorf("head is %q: SEQ:HASH was expected, as audit verify prints it", text)
	}
	return audit.Head{Seq: n, Hash: hash}, nil
}

// recordRefused leaves a trace of a caller without the token, or whom the policy does not let in.
func (s *Server) recordRefused(r *http.Request, status int, why string) {
	if s.cfg.Audit == nil || status != http.StatusUnauthorized {
		return
	}
	address := r.RemoteAddr
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	s.cfg.Audit.AppendLimited(r.RemoteAddr, audit.Record{
		Action: audit.ActionAuthRefused, Actor: address, Target: r.Method + " " + r.URL.Path, Outcome: audit.OutcomeRefused,
		RequestID: r.Header.Get(HeaderRequestID), Message: why,
	})
}

// events is GET /policy/events.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Events == nil {
		return &httpError{http.StatusServiceUnavailable, "there are no events"}
	}
	s.cfg.Events.ServeHTTP(w, r)
	return nil
}

// ListsAnswer is the body of GET /policy/lists.
type ListsAnswer struct {
	Block []audit.Entry `json:"block"`
	Allow []audit.Entry `json:"allow"`
}

// ListAnswer is the body of an answer to a change of a list.
type ListAnswer struct {
	Changed bool `json:"changed"` // false when it was so before
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

// changeList puts a target on a list or takes it off.
func (s *Server) changeList(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	var in ListRequest
	if err := decode(r, &in); err != nil {
		return err
	}
	entry := audit.Entry{
		List: r.PathValue("list"), TargetType: in.TargetType, TargetName: in.TargetName,
		Reason: in.Reason, SourcePath: in.SourcePath, Actor: actor(r),
	}
	if err := entry.Validate(); err != nil {
		return badRequest("%s", err)
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
		return &httpError{http.StatusNotFound, err.Error()}
	}
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// addLists puts the entries for a target into an admission's input. Where they cannot be read, nobody
// knows what they forbid.
func (s *Server) addLists(in *AdmissionInput) error {
	if s.cfg.Audit == nil {
		return nil
	}
	lists, err := s.cfg.Audit.Lists()
	if err != nil {
		return err
	}
	in.BlockList, in.AllowList = lists.For(in.TargetType, in.TargetName)
	return nil
}

func orNone(entries []audit.Entry) []audit.Entry {
	if entries == nil {
		return []audit.Entry{}
	}
	return entries
}
