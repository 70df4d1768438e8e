package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// CoverageAnswer is the body of GET /policy/coverage: what the recorded decisions reach of the policy that serves.
type CoverageAnswer struct {
	Generation uint64         `json:"generation"`
	Revision   string         `json:"revision"`
	At         time.Time      `json:"at"` // when the records were evaluated
	Records    int            `json:"records"`
	Evaluated  int            `json:"evaluated"`
	LeftOut    map[string]int `json:"left_out"` // the other records, by reason: masked, error, gone, timeout or time
	Incomplete []string       `json:"incomplete"`
	Lines      int            `json:"lines"` // that can be reached, of all modules
	Reached    int            `json:"reached"`
	Matching   int            `json:"matching"` // modules that the request asks for, on all pages
	Files      []FileCoverage `json:"files"`    // of this page, by path
	Next       string         `json:"next,omitempty"`
}

// FileCoverage is the lines of one module: where a rule or a condition begins.
type FileCoverage struct {
	Path    string   `json:"path"`
	Lines   int      `json:"lines"`
	Reached [][2]int `json:"reached"`  // the first and the last line of each stretch
	Missed  [][2]int `json:"missed"`   // so too
	NoValue []int    `json:"no_value"` // heads of rules that were reached and gave no value
}

// CoverageQuery says what [Client.Coverage] asks for. The zero value asks for the first page of all modules.
type CoverageQuery struct {
	File   string // this module alone
	Missed bool   // modules alone that have a line which no decision reached
	After  string // the path behind which the page begins: [CoverageAnswer].Next
	Limit  int    // modules on a page; 0: 100
}

// freshCoverage is how long a coverage is good that was made of fewer decisions than are recorded by now: evaluating them takes a
// second of a processor.
const freshCoverage = 15 * time.Second

// coveragePatience bounds the wait for coverage, most of which is for reviews of changes, which come first.
const coveragePatience = 20 * time.Second

const defaultCovered, maxCovered = 100, 1000

// coverage is GET /policy/coverage.
func (s *Server) coverage(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	limit, err := countOf(query, "limit", defaultCovered, maxCovered)
	if err != nil {
		return err
	}
	missed, err := truth(r, "missed")
	if err != nil {
		return err
	}
	if s.cfg.Recorder == nil {
		return errNotRecorded
	}
	g := s.current()
	if g == nil {
		return decision.ErrNoPolicy
	}
	found, err := s.covered.of(r.Context(), s, g)
	if err != nil {
		return err
	}
	answer := *found.answer
	answer.Files = []FileCoverage{}
	var after, file = query.Get("after"), query.Get("file")
	for i := range found.files {
		f := &found.files[i]
		if file != "" && f.Path != file || missed && len(f.Missed) == 0 {
			continue
		}
		answer.Matching++
		if f.Path <= after && after != "" {
			continue
		}
		if len(answer.Files) < limit {
			answer.Files = append(answer.Files, fileCoverageOf(f))
		} else {
			answer.Next = answer.Files[limit-1].Path
		}
	}
	if file != "" && answer.Matching == 0 {
		return &decision.HTTPError{Status: http.StatusNotFound, Message: "no module of this name serves"}
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func fileCoverageOf(f *review.FileCoverage) FileCoverage {
	return FileCoverage{
		Path: f.Path, Lines: len(f.Reached) + len(f.Missed), Reached: stretches(f.Reached), Missed: stretches(f.Missed), NoValue: append([]int{}, f.NoValue...),
	}
}

// stretches puts lines that follow one another together.
func stretches(lines []int) [][2]int {
	all := [][2]int{}
	for _, line := range lines {
		if n := len(all); n > 0 && all[n-1][1]+1 == line {
			all[n-1][1] = line
		} else {
			all = append(all, [2]int{line, line})
		}
	}
	return all
}

// coverages keeps the coverage that was made last. It holds nothing of the generation. The zero value is not ready: see
// newCoverages.
type coverages struct {
	turn chan struct{} // holds a value while one is made or read
	last *madeCoverage
}

type madeCoverage struct {
	answer *CoverageAnswer // without files
	files  []review.FileCoverage
	seen   uint64 // decisions, then
}

func newCoverages() coverages { return coverages{turn: make(chan struct{}, 1)} }

// of is the coverage of a generation. Callers who come together share one.
func (c *coverages) of(ctx context.Context, s *Server, g *engine.Generation) (*madeCoverage, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	seen := s.cfg.Recorder.Counts().Seen
	if m := c.last; m != nil && m.answer.Revision == g.Revision() && (m.seen == seen || time.Since(m.answer.At) < freshCoverage) {
		again := *m
		renewed := *m.answer
		renewed.Generation = g.Number()
		again.answer = &renewed
		return &again, nil
	}
	at := time.Now().UTC()
	bounded, cancel := context.WithTimeout(ctx, coveragePatience)
	defer cancel()
	evidence, err := s.evaluate(bounded, g, g, []string{StepCoverage})
	found := evidence.Coverage
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case found != nil: // it may have used all of the time
	case len(evidence.Incomplete) == 0 && err != nil:
		return nil, err
	default:
		return nil, &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: strings.Join(evidence.Incomplete, "; ")}
	}
	m := &madeCoverage{files: found.Files, seen: seen, answer: &CoverageAnswer{
		Generation: g.Number(), Revision: g.Revision(), At: at, Records: found.Records, Evaluated: found.Evaluated,
		LeftOut: found.LeftOut, Incomplete: list(evidence.Incomplete),
	}}
	if m.answer.LeftOut == nil { // nothing is left of an empty map on its way from another process
		m.answer.LeftOut = map[string]int{}
	}
	for _, f := range found.Files {
		m.answer.Lines += len(f.Reached) + len(f.Missed)
		m.answer.Reached += len(f.Reached)
	}
	slices.SortFunc(m.files, func(a, b review.FileCoverage) int { return strings.Compare(a.Path, b.Path) })
	c.last = m
	return m, nil
}

// Coverage asks what the recorded decisions reach of the policy that serves. It may take some seconds.
func (c *Client) Coverage(ctx context.Context, q CoverageQuery) (answer CoverageAnswer, err error) {
	return answer, c.get(ctx, "/policy/coverage?"+q.Values().Encode(), &answer)
}

// Values are the parameters of the request.
func (q CoverageQuery) Values() url.Values {
	values := PackagesQuery{File: q.File, After: q.After, Limit: q.Limit}.Values()
	if q.Missed {
		values.Set("missed", "true")
	}
	return values
}
