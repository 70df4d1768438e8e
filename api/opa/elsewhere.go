package opa

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/util"
)

// Elsewhere has another process answer a request by a generation, with a handler that [Evaluating] made there.
// The error is that there is no answer. Safe for concurrent use.
type Elsewhere func(*engine.Generation, *http.Request) (*http.Response, error)

// needed are the headers that change an answer. No other one reaches the other process: some are secret.
var needed = []string{"Content-Type", "Accept"}

// headerEvaluated holds, as JSON, what the other process evaluated, for metrics and the decision log: a list of
// [evaluated]. In a request, withTexts asks for inputs and results, too.
const (
	headerEvaluated = "X-Defenseclaw-Evaluated"
	withTexts       = "with-texts"
)

// evaluated is a query or a decision that was evaluated.
type evaluated struct {
	ID, BatchID string
	Query       string // empty: Path is what was asked for
	Path        engine.Path
	Input       json.RawMessage `json:",omitempty"` // here and below, null is a value
	Result      json.RawMessage `json:",omitempty"`
	Defined     bool
	Took        time.Duration
	Failed      *decision.RemoteError
}

// adHoc answers a request whose evaluation its caller wrote: elsewhere if there is such a place, else by answer.
func (a *API) adHoc(answer func(*exchange)) func(*exchange) {
	if a.Elsewhere == nil {
		return answer
	}
	return (*exchange).forward
}

// observed answers decisions that are observed elsewhere, if decisions are made there, else by answer. The path begins
// after that many segments, and the deadline is that of so many decisions.
func (a *API) observed(segments int, deadlines int, answer func(*exchange)) func(*exchange) {
	if a.Elsewhere == nil || !a.DecisionsElsewhere {
		return answer
	}
	return func(x *exchange) {
		if !x.observation().wanted {
			answer(x)
			return
		}
		if path, err := x.path(segments); err == nil && x.refused(path) {
			return
		}
		ctx, cancel := context.WithTimeout(x.r.Context(), time.Duration(deadlines)*x.g.Timeout())
		defer cancel()
		x.r = x.r.WithContext(ctx)
		x.forward()
	}
}

// forward has the request answered elsewhere. The body is read here, within its limits, and unpacked.
func (x *exchange) forward() {
	body, err := decision.Body(x.r)
	if err != nil {
		x.failRequest(err)
		return
	}
	started := time.Now()
	got, err := x.elsewhere(body)
	if err != nil {
		x.reportUnanswered(started, body, err)
		x.failDecision(err)
		return
	}
	var done []evaluated
	_ = json.Unmarshal([]byte(got.header.Get(headerEvaluated)), &done) // made by note
	for _, e := range done {
		x.report(e)
	}
	for _, name := range []string{headerEvaluated, "Content-Length", "Vary", decision.HeaderGeneration, decision.HeaderRevision} {
		got.header.Del(name)
	}
	maps.Copy(x.w.Header(), got.header)
	x.w.WriteHeader(got.status)
	_, _ = x.w.Write(got.body) // an error means that the caller has gone
}

// answered is an answer of another process.
type answered struct {
	status int
	header http.Header
	body   []byte
}

func (x *exchange) elsewhere(body []byte) (got answered, err error) {
	response, err := x.Elsewhere(x.g, x.inner(body))
	if err != nil {
		return got, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if revision := response.Header.Get(decision.HeaderRevision); revision != x.g.Revision() {
		return got, fmt.Errorf("the answer is by revision %q, not by %q", revision, x.g.Revision())
	}
	got.status, got.header = response.StatusCode, response.Header
	got.body, err = io.ReadAll(response.Body)
	return got, err
}

// inner is the request as the other process sees it.
func (x *exchange) inner(body []byte) *http.Request {
	r := x.r.Clone(x.r.Context())
	r.Header, r.Body, r.ContentLength = http.Header{}, io.NopCloser(bytes.NewReader(body)), int64(len(body))
	for _, name := range needed {
		if values := x.r.Header.Values(name); len(values) > 0 {
			r.Header[name] = values
		}
	}
	if x.Logged {
		r.Header.Set(headerEvaluated, withTexts)
	}
	if x.StrictBuiltinErrors { // a setting here, which is a parameter there
		r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&"+types.ParamStrictBuiltinErrors+"=true", "&")
	}
	return r
}

// report reports what was evaluated elsewhere as if it had been evaluated here.
func (x *exchange) report(e evaluated) {
	q := decision.Question{ID: e.ID, BatchID: e.BatchID, Path: e.Path, Text: e.Query, Started: time.Now().Add(-e.Took), Untold: !x.Logged,
		Lenient: !x.StrictBuiltinErrors && !x.flag(types.ParamStrictBuiltinErrors)}
	if e.Input != nil {
		input, _ := engine.ParseJSON(e.Input) // made by note
		q.Input = engine.InputOf(input)
	}
	_, end := x.Begin(x.r.Context(), x.g, q)
	a := decision.Answer{Defined: e.Defined}
	if e.Result != nil {
		a.Result = e.Result
	}
	if e.Failed != nil {
		a.Err = e.Failed
	}
	end(a)
}

// reportUnanswered reports a query or a decision that has no answer. Partial evaluation is not reported, as it is not
// in [exchange.compile].
func (x *exchange) reportUnanswered(started time.Time, body []byte, err error) {
	if strings.HasPrefix(x.r.URL.Path, "/v1/compile") {
		return
	}
	asked := types.QueryRequestV1{Query: x.params.Get(types.ParamQueryV1)}
	_ = util.UnmarshalJSON(body, &asked) // what cannot be read is not reported, which is all that there is to do
	q := decision.Question{Text: asked.Query, Started: started, Untold: true}
	if asked.Query == "" {
		q.Path, _ = x.path(2) // as above
	}
	input, _ := valueOf(asked.Input) // as above
	q.Input = engine.InputOf(input)
	_, end := x.Begin(x.r.Context(), x.g, q)
	end(decision.Answer{Err: err})
}

// Evaluating answers, in a process of its own and by one generation, what [Elsewhere] asks.
func Evaluating(g *engine.Generation) http.Handler {
	a := &API{Serving: func() (*engine.Generation, error) { return g, nil }, Begin: note, Logged: true}
	mux := http.NewServeMux()
	mux.Handle("/v1/query", a.Query())
	mux.Handle("/v1/compile", a.Compile())
	mux.Handle("/v1/compile/{path...}", a.Filters())
	mux.Handle("/v1/data", a.Data())
	mux.Handle("/v1/data/{path...}", a.Data())
	mux.Handle("/v1/batch/data/{path...}", a.Batch())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		notes := &notes{texts: r.Header.Get(headerEvaluated) == withTexts}
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), notesKey{}, notes)))
		if text, err := json.Marshal(notes.done); err == nil { // as it always is
			w.Header().Set(headerEvaluated, string(text)) // which is sent when this handler has returned
		}
	})
}

type notesKey struct{}

// notes are of one request.
type notes struct {
	texts bool
	done  []evaluated
}

// note is the [decision.BeginFunc] of [Evaluating].
func note(ctx context.Context, _ *engine.Generation, q decision.Question) (context.Context, func(decision.Answer)) {
	notes, ok := ctx.Value(notesKey{}).(*notes)
	if !ok {
		return ctx, func(decision.Answer) {}
	}
	e, started := evaluated{ID: q.ID, BatchID: q.BatchID, Path: q.Path}, time.Now()
	if q.Query != nil {
		e.Query = q.Query.String() // now: the evaluation changes it
	}
	if notes.texts && q.Input != nil {
		e.Input, _ = engine.InputJSON(q.Input.Value()) // an input always is JSON
	}
	return ctx, func(a decision.Answer) {
		e.Took, e.Defined = time.Since(started), a.Defined
		switch result := a.Result.(type) {
		case nil:
		case ast.Value:
			if notes.texts {
				e.Result, _ = engine.InputJSON(result) // a result always is JSON, as the answer has it
			}
		default:
			if notes.texts && a.Err == nil {
				e.Result, _ = json.Marshal(result) // as above
			}
		}
		if a.Err != nil {
			e.Failed = decision.NewRemoteError(a.Err)
		}
		notes.done = append(notes.done, e)
	}
}
