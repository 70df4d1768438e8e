package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/explain"
)

// SideCandidate is what waits for an approval or, where that serves already, for its confirmation.
const SideCandidate = "candidate"

// Bounds of tries. Decisions go on meanwhile: a try takes no slot of theirs, and one more waits for its turn.
const (
	tryPatience    = 2 * time.Second // for a turn
	tryGrace       = time.Second     // beyond its evaluations, each of which has the timeout of a decision
	maxTrySource   = 1 << 20
	defaultListed  = 50
	maxListed      = 500
	tryEvaluations = 4 // at most; see package explain
)

// triesAtOnce is one, and two where there are four processors or more: half of them stay with decisions.
var triesAtOnce = max(1, min(2, runtime.GOMAXPROCS(0)/2))

// answerTry is POST /policy/try, which evaluates one document and says why it has its value, and GET /policy/try, which lists
// what there is to try. Neither is a decision: nothing is logged or recorded of it.
func (s *Server) answerTry(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return s.documents(w, r)
	}
	var in TryRequest
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	path, at, err := in.check()
	if err != nil {
		return err
	}
	leave, err := s.enterTry(r.Context())
	if err != nil {
		return err
	}
	g, err := s.tried(r.Context(), at)
	if err != nil {
		leave()
		return s.writeSideError(w, at, err)
	}
	answer := TryAnswer{Path: path.String(), At: at, Revision: g.Revision()}
	if at == SideServing {
		answer.Generation = g.Number()
	}
	options := explain.Options{Explain: in.Explain, Coverage: in.Coverage, Strict: s.cfg.StrictBuiltinErrors}
	if in.Time != nil {
		options.At = *in.Time
	}
	found, printed, err := try(r.Context(), g, path, in.Input, options, leave)
	switch {
	case errors.Is(err, explain.ErrNoDocument):
		return &decision.HTTPError{Status: http.StatusNotFound, Message: err.Error()}
	case errors.Is(err, engine.ErrPath):
		return decision.BadRequest("path: %s", err)
	case errors.Is(err, engine.ErrDecisionTimeout) && r.Context().Err() == nil: // a builtin is at work that cannot be interrupted
		found = explain.Answer{Failed: err}
	case err != nil:
		return err
	}
	answer.add(found)
	answer.Printed, answer.MorePrinted = printed.lines, printed.more
	if in.Source {
		answer.Source = sourceOf(g, found.Lines)
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// check reads what a request asks for.
func (in *TryRequest) check() (path engine.Path, at string, err error) {
	if in.Path == "" {
		return nil, "", decision.BadRequest("path is required: such as a/b/allow")
	}
	if path, err = explain.ParsePath(in.Path); err != nil {
		return nil, "", decision.BadRequest("path: %s", err)
	}
	if len(path) == 0 {
		return nil, "", decision.BadRequest("path is %q: it names no document", in.Path[:min(len(in.Path), 100)])
	}
	if in.Input != nil {
		if _, err := engine.ParseJSON(in.Input); err != nil {
			return nil, "", decision.BadRequest("input: %s", err)
		}
	}
	switch v := in.At.(type) {
	case nil:
		return path, SideServing, nil
	case string:
		at = v
	case float64:
		at = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return nil, "", decision.BadRequest("at: a name or a number was expected")
	}
	return path, at, checkAt(at)
}

func checkAt(at string) error {
	if at != SideCandidate && !sideNames.MatchString(at) {
		return decision.BadRequest("at is %q: expected serving, candidate, disk, a number of the history or the beginning of a revision", at[:min(len(at), 100)])
	}
	return nil
}

// enterTry waits for a turn. leave is called once.
func (s *Server) enterTry(ctx context.Context) (leave func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, tryPatience)
	defer cancel()
	select {
	case s.tries <- struct{}{}:
		return sync.OnceFunc(func() { <-s.tries }), nil
	case <-waiting.Done():
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, fmt.Errorf("%w: %d are being tried", engine.ErrBusy, triesAtOnce)
}

// tried is the generation that a request names.
func (s *Server) tried(ctx context.Context, at string) (*engine.Generation, error) {
	if at != SideCandidate {
		return s.side(ctx, at)
	}
	if c := s.cfg.Control; c != nil && c.Status().Confirming != nil {
		return s.side(ctx, SideServing)
	}
	return s.side(ctx, SideHeld)
}

// try evaluates apart from decisions. leave is called when nothing is at work any more, which may be after the answer.
func try(
	ctx context.Context, g *engine.Generation, path engine.Path, input json.RawMessage, options explain.Options, leave func(),
) (found explain.Answer, _ printed, err error) {
	options.Timeout = g.Timeout()
	ctx, cancel := context.WithTimeout(ctx, tryEvaluations*options.Timeout+tryGrace)
	defer cancel()
	var made explain.Answer
	var prints printed
	err = g.Abandonable(ctx, "try "+path.String(), leave, func(ctx context.Context) (err error) {
		ctx = engine.WithPrinter(ctx, prints.add)
		made, err = explain.Evaluate(ctx, g.Alone(options.Timeout), path, input, options)
		return err
	})
	if err != nil {
		return found, printed{}, err // made may still be written
	}
	return made, prints, nil
}

// sourceOf is the text of files that an evaluation reached, as far as there is room.
func sourceOf(g *engine.Generation, reached map[string]explain.Lines) map[string]string {
	texts, left := map[string]string{}, maxTrySource
	for _, f := range g.Files() {
		if _, ok := reached[f.Path]; ok && len(f.Bytes) <= left {
			left -= len(f.Bytes)
			texts[f.Path] = string(f.Bytes)
		}
	}
	return texts
}

// documents is GET /policy/try.
func (s *Server) documents(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	at := query.Get("at")
	if at == "" {
		at = SideServing
	}
	if err := checkAt(at); err != nil {
		return err
	}
	if q := query.Get("q"); len(q) > maxSearch {
		return decision.BadRequest("q has %d bytes: %d are looked for at most", len(q), maxSearch)
	}
	limit, err := countOf(query, "limit", defaultListed, maxListed)
	if err != nil {
		return err
	}
	leave, err := s.enterTry(r.Context())
	if err != nil {
		return err
	}
	defer leave()
	g, err := s.tried(r.Context(), at)
	if err != nil {
		return s.writeSideError(w, at, err)
	}
	finder := &explain.Finder{} // a side that is no other than for this request leaves what is known of the one that serves
	if at == SideServing {
		finder = &s.documented
	}
	found, more := finder.Find(g, query.Get("q"), limit)
	answer := DocumentsAnswer{At: at, Revision: g.Revision(), Documents: []Document{}, More: more}
	for _, d := range found {
		answer.Documents = append(answer.Documents, Document{Path: d.Path, Package: d.Package, Entrypoint: d.Entrypoint, Whole: d.IsPackage})
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// Try evaluates one document of a policy that the sidecar has, and says why it has its value.
func (c *Client) Try(ctx context.Context, in TryRequest) (answer TryAnswer, err error) {
	const path = "/policy/try"
	body, err := json.Marshal(in)
	if err != nil {
		return answer, err
	}
	text, err := c.call(ctx, http.MethodPost, path, body)
	if err != nil {
		return answer, err
	}
	return answer, c.read(path, text, &answer)
}

// Documents lists what can be tried of a side, as far as its path has the words of q.
func (c *Client) Documents(ctx context.Context, at, q string) (answer DocumentsAnswer, err error) {
	return answer, c.get(ctx, "/policy/try?"+url.Values{"at": {at}, "q": {q}}.Encode(), &answer)
}
