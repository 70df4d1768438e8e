package opa

import (
	"bytes"
	"cmp"
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

	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/util"
)

// Elsewhere has another process answer a request by a generation, with a handler that [Evaluating] made there.
// The error is that there is no answer. Safe for concurrent use.
type Elsewhere func(*engine.Generation, *http.Request) (*http.Response, error)

// needed are the headers that change an answer. No other one reaches the other process: some are secret.
var needed = []string{"Content-Type", "Accept"}

// headerEvaluated holds, as JSON, what the other process evaluated, for the decision log.
const headerEvaluated = "X-Defenseclaw-Evaluated"

// evaluated is a query that was evaluated.
type evaluated struct {
	Query   string
	Defined bool
	Failed  *decision.RemoteError `json:",omitempty"`
	Error   error                 `json:"-"` // of having it evaluated
}

// adHoc answers a request whose evaluation its caller wrote: elsewhere if there is such a place, else by answer.
func (a *API) adHoc(answer func(*exchange)) func(*exchange) {
	if a.Elsewhere == nil {
		return answer
	}
	return (*exchange).forward
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
		x.logForwarded(started, body, nil, evaluated{Error: err})
		x.failDecision(err)
		return
	}
	var done evaluated
	if note := got.header.Get(headerEvaluated); note != "" && json.Unmarshal([]byte(note), &done) == nil {
		x.logForwarded(started, body, got.body, done)
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
	if x.StrictBuiltinErrors { // a setting here, which is a parameter there
		r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&"+types.ParamStrictBuiltinErrors+"=true", "&")
	}
	return r
}

// logForwarded reports a query that was evaluated elsewhere, as if it had been evaluated here. Partial evaluation is
// not reported, as it is not in [exchange.compile].
func (x *exchange) logForwarded(started time.Time, request, answer []byte, done evaluated) {
	if x.r.PathValue("path") != "" || !strings.HasSuffix(x.r.URL.Path, "/query") {
		return
	}
	asked := types.QueryRequestV1{Query: x.params.Get(types.ParamQueryV1)}
	_ = util.UnmarshalJSON(request, &asked) // a query in a URL has no body; one that was evaluated can be read
	q := decision.Question{Text: cmp.Or(done.Query, asked.Query), Started: started}
	q.Input, _ = valueOf(asked.Input) // as above
	_, end := x.Begin(x.r.Context(), x.g, q)
	a := decision.Answer{Defined: done.Defined, Err: done.Error}
	if done.Failed != nil {
		a.Err = done.Failed
	} else if done.Error == nil {
		var set struct{ Result json.RawMessage }
		_ = json.Unmarshal(answer, &set) // the other process made it
		a.Result = set.Result
	}
	end(a)
}

// Evaluating answers, in a process of its own and by one generation, what [Elsewhere] asks.
func Evaluating(g *engine.Generation) http.Handler {
	a := &API{Current: func() *engine.Generation { return g }, Begin: note}
	mux := http.NewServeMux()
	mux.Handle("/v1/query", a.Query())
	mux.Handle("/v1/compile", a.Compile())
	mux.Handle("/v1/compile/{path...}", a.Filters())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var done evaluated
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), evaluatedKey{}, &done)))
		if done.Query == "" {
			return
		}
		if text, err := json.Marshal(done); err == nil { // as it always is
			w.Header().Set(headerEvaluated, string(text)) // which is sent when this handler has returned
		}
	})
}

type evaluatedKey struct{}

// note is the [decision.BeginFunc] of [Evaluating].
func note(ctx context.Context, _ *engine.Generation, q decision.Question) (context.Context, func(decision.Answer)) {
	done, ok := ctx.Value(evaluatedKey{}).(*evaluated)
	if !ok || q.Query == nil {
		return ctx, func(decision.Answer) {}
	}
	done.Query = q.Query.String() // now: the evaluation changes it
	return ctx, func(a decision.Answer) {
		done.Defined = a.Defined
		if a.Err != nil {
			done.Failed = decision.NewRemoteError(a.Err)
		}
	}
}
