package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine/history"
)

// HistoryEntry is one generation that served, in the array of GET /policy/history, the newest first.
type HistoryEntry struct {
	Seq         uint64     `json:"seq"` // counts on over restarts, and is never used twice
	Revision    string     `json:"revision"`
	ServedFrom  time.Time  `json:"served_from"`
	ServedUntil *time.Time `json:"served_until"` // null while it serves
	Trigger     string     `json:"trigger"`      // as in [LastReload]; empty where an earlier version saved it
	Actor       string     `json:"actor"`        // the same
	Changed     []string   `json:"changed"`      // files that differ from those of the one before
	ChangedMore int        `json:"changed_more,omitempty"`
	Packages    []string   `json:"packages"`          // that these files declare, or declared
	Review      *Verdict   `json:"review,omitempty"`  // left out where the change was not reviewed, or not yet
	Control     *Ordered   `json:"control,omitempty"` // left out where no operator made it serve
	Phases      []Phase    `json:"phases,omitempty"`  // of the attempt that made it serve, in their order; left out where they are not known
	Kept        bool       `json:"kept"`              // it can be shown, exported and put back
	Generation  uint64     `json:"generation,omitempty"`
	Version     string     `json:"version,omitempty"` // of the program
	Root        string     `json:"root"`              // the folder of the policy directory that held it
	File        string     `json:"file"`              // in the data directory
}

// Phase is how long a part of an attempt took: read, parse, compile, check, review or swap.
type Phase struct {
	Name string  `json:"name"`
	MS   float64 `json:"ms"`
}

// Verdict is what came of the review of a change that served.
type Verdict struct {
	Verdict  string         `json:"verdict"`            // admitted, or held: it was approved
	Findings map[string]int `json:"findings,omitempty"` // by level
	Flips    map[string]int `json:"flips,omitempty"`    // recorded decisions that it answers otherwise, by kind
	Override string         `json:"override,omitempty"` // why it serves whatever the findings are
}

// Ordered is what made a generation of the history serve.
type Ordered struct {
	Order  string `json:"order"` // rolled-back, approved or reverted
	Actor  string `json:"actor,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// HistoryOf converts records.
func HistoryOf(records []history.Record) []HistoryEntry {
	entries := make([]HistoryEntry, 0, len(records))
	for _, r := range records {
		entries = append(entries, historyEntry(r))
	}
	return entries
}

func historyEntry(r history.Record) HistoryEntry {
	e := HistoryEntry{
		Seq: r.Seq, Revision: r.Revision, ServedFrom: r.ServedFrom, ServedUntil: OptionalTime(r.ServedUntil),
		Trigger: r.Trigger, Actor: r.Actor, Changed: notNil(r.Changed), ChangedMore: r.More, Packages: notNil(r.Packages),
		Kept: r.Kept, Generation: r.Generation, Version: r.Version, Root: r.Root, File: r.File,
	}
	for _, p := range r.Phases {
		e.Phases = append(e.Phases, Phase(p))
	}
	if r.Reviewed != nil {
		verdict := Verdict(*r.Reviewed)
		e.Review = &verdict
	}
	if r.Order != nil {
		e.Control = &Ordered{Order: r.Order.Name, Actor: r.Order.Actor, Reason: r.Order.Reason}
	}
	return e
}

func notNil(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

// Past is what served before.
type Past struct {
	Store *history.Store
	Noted func(context.Context) error // waits until what serves now is in it; nil: it is already
}

var errNoHistory = &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "there is no history: the embedded pack serves, or directories are only validated"}

// past returns the history, with what serves now.
func (s *Server) past(ctx context.Context) (*history.Store, error) {
	if s.cfg.Past == nil {
		return nil, errNoHistory
	}
	if s.cfg.Past.Noted != nil {
		const patience = time.Second // longer means that the disk is full or away; the rest can be told
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_ = s.cfg.Past.Noted(ctx)
	}
	return s.cfg.Past.Store, nil
}

// history is GET /policy/history.
func (s *Server) history(w http.ResponseWriter, r *http.Request) error {
	past, err := s.past(r.Context())
	if err != nil {
		return err
	}
	page, err := historyPageOf(r.URL.Query())
	if err != nil {
		return err
	}
	records, err := past.Records()
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, HistoryOf(page.of(records)))
	return nil
}

// historyPage is a part of the history.
type historyPage struct {
	limit  int       // 0: all
	before time.Time // zero: from the newest on
}

const maxHistoryPage = 1000

// historyPageOf reads ?limit= and ?before=.
func historyPageOf(query url.Values) (page historyPage, err error) {
	if query.Has("limit") {
		text := query.Get("limit")
		if page.limit, err = strconv.Atoi(text); err != nil || page.limit < 1 || page.limit > maxHistoryPage {
			return page, decision.BadRequest("limit is %q: expected a number from 1 to %d", text[:min(len(text), 100)], maxHistoryPage)
		}
	}
	if query.Has("before") {
		text := query.Get("before")
		if page.before, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return page, decision.BadRequest("before is %q: expected a time such as 2026-01-02T03:04:05Z", text[:min(len(text), 100)])
		}
	}
	return page, nil
}

// of are the records of the page, of all, the newest first.
func (p historyPage) of(all []history.Record) []history.Record {
	if !p.before.IsZero() {
		first := slices.IndexFunc(all, func(r history.Record) bool { return r.ServedFrom.Before(p.before) })
		if first < 0 {
			return nil
		}
		all = all[first:]
	}
	if p.limit > 0 && len(all) > p.limit {
		all = all[:p.limit]
	}
	return all
}

// historyEntry is GET /policy/history/{ref}: one of them, by its number or the beginning of its revision.
func (s *Server) historyEntry(w http.ResponseWriter, r *http.Request) error {
	past, err := s.past(r.Context())
	if err != nil {
		return err
	}
	found, err := past.Find(r.PathValue("ref"))
	if err != nil {
		return historyError(err)
	}
	decision.WriteJSON(w, http.StatusOK, historyEntry(found))
	return nil
}

// historyError gives the errors of a look-up their status.
func historyError(err error) error {
	ambiguous := new(history.AmbiguousError)
	switch {
	case errors.Is(err, history.ErrNotFound):
		return &decision.HTTPError{Status: http.StatusNotFound, Message: err.Error()}
	case errors.As(err, &ambiguous):
		return &decision.HTTPError{Status: http.StatusConflict, Message: err.Error()}
	default:
		return err
	}
}
