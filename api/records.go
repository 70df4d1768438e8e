package api

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"defenseclaw/api/audit"
	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
)

var errNoAudit = &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "there is no audit log"}

// RecordsAnswer is the body of GET /audit/records, newest first.
type RecordsAnswer struct {
	Records []audit.Record `json:"records"`
	Next    int64          `json:"next,omitempty"` // before=NEXT gives the next page; 0: this is the last
}

// records is GET /audit/records.
func (s *Server) records(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	filter, err := audit.ParseFilter(r.URL.Query())
	if err != nil {
		return decision.BadRequest("%s", err)
	}
	if err := filter.Known(); err != nil {
		return decision.BadRequest("%s", err)
	}
	found, err := s.cfg.Audit.Query(r.Context(), filter)
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, NewRecordsAnswer(found, filter))
	return nil
}

// NewRecordsAnswer adds where the next page begins.
func NewRecordsAnswer(found []audit.Record, filter audit.Filter) RecordsAnswer {
	answer := RecordsAnswer{Records: found}
	if len(found) > 0 && len(found) == filter.PageSize() {
		answer.Next = found[len(found)-1].Seq
	}
	return answer
}

// verifyRecords is GET /audit/verify, with a parameter head=SEQ:HASH for each head that was noted elsewhere.
func (s *Server) verifyRecords(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Audit == nil {
		return errNoAudit
	}
	var noted []audit.Head
	for _, text := range r.URL.Query()["head"] {
		head, err := ParseHead(text)
		if err != nil {
			return decision.BadRequest("%s", err)
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

// noToken is why a caller is on record whose token is missing or wrong.
const noToken = "no token, or a wrong one"

// recordRefused records a caller that may not do what it asked for. name is its token's; empty: it has none.
func (s *Server) recordRefused(r *http.Request, name, why string) {
	if s.cfg.Audit == nil {
		return
	}
	address := senderOf(r)
	s.cfg.Audit.AppendLimited(r.RemoteAddr, audit.Record{
		Action: audit.ActionAuthRefused, Actor: cmp.Or(name, address), Target: r.Method + " " + r.URL.Path, Outcome: audit.OutcomeRefused,
		RequestID: r.Header.Get(HeaderRequestID), Message: why,
	})
}

// recordSignedIn records that a browser was let into the console.
func (s *Server) recordSignedIn(r *http.Request, caller gate.Caller) {
	if s.cfg.Audit == nil {
		return
	}
	s.cfg.Audit.AppendLimited(r.RemoteAddr, audit.Record{
		Action: audit.ActionConsoleSignIn, Actor: cmp.Or(caller.Name, senderOf(r)), Target: "console",
		RequestID: r.Header.Get(HeaderRequestID), Message: "a browser at " + senderOf(r),
	})
}

// senderOf names who sent a request, as far as the connection shows.
func senderOf(r *http.Request) string {
	if _, user := gate.Peer(r.Context()); user != "" {
		return user
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// events is GET /policy/events.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Events == nil {
		return &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "there are no events"}
	}
	ctx, stop := s.whileValid(r.Context())
	defer stop()
	s.cfg.Events.ServeHTTP(w, r.WithContext(ctx))
	return nil
}
