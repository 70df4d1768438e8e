package opa

import (
	"errors"
	"net/http"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/server/writer"
)

// Query answers GET and POST of /v1/query with the bindings that satisfy the caller's query.
func (a *API) Query() http.Handler {
	return a.handler(a.adHoc((*exchange).query), http.MethodGet, http.MethodPost)
}

func (x *exchange) query() {
	o := x.observation()
	if x.r.Method == http.MethodPost {
		o.metrics.Timer(metrics.ServerHandler).Start()
	}
	query, input, failed := x.queryRequest()
	if failed != nil {
		failed()
		return
	}
	if len(query) == 0 {
		x.failDecision(errors.New("cannot evaluate empty query"))
		return
	}
	ctx, end := x.Begin(x.r.Context(), x.g, decision.Question{Query: query, Input: engine.InputOf(input)})
	set, err := x.g.Query(ctx, query, input, o.Observation)
	var answer types.QueryResponseV1
	var logged any // a list whose size the decision log can count
	if len(set) > 0 {
		rows := make([]any, len(set))
		for i, row := range set {
			bindings := map[string]any(row.Bindings.WithoutWildcards())
			answer.Result, rows[i] = append(answer.Result, bindings), bindings
		}
		logged = rows
	}
	end(decision.Answer{Result: logged, Defined: len(set) > 0, Err: err})
	if err != nil {
		x.failQuery(err, types.MsgCompileQueryError)
		return
	}
	answer.RuleLabels = o.labels()
	if answer.Explanation, err = x.explanation(o); err != nil {
		x.failDecision(err)
		return
	}
	if x.r.Method == http.MethodPost {
		o.metrics.Timer(metrics.ServerHandler).Stop()
	}
	answer.Metrics = o.measured()
	x.write(answer)
}

// queryRequest reads the query and its input. If failed is not nil, the request is invalid: failed answers it.
func (x *exchange) queryRequest() (query ast.Body, input ast.Value, failed func()) {
	var request types.QueryRequestV1
	if x.r.Method == http.MethodPost {
		if err := x.decodeRequest(&request); err != nil {
			return nil, nil, func() { x.failRequest(err) }
		}
	} else {
		texts := x.params[types.ParamQueryV1]
		if len(texts) == 0 {
			return nil, nil, func() { x.failRequest(errors.New("missing parameter 'q'")) }
		}
		request.Query = texts[len(texts)-1]
	}
	query, err := parseQuery(request.Query)
	if err != nil {
		return nil, nil, func() { x.failQuery(err, types.MsgParseQueryError) }
	}
	if input, err = valueOf(request.Input); err != nil {
		return nil, nil, func() { x.failDecision(err) }
	}
	return query, input, nil
}

// maxQueryBytes bounds the text of a query: OPA's parser recurses, and its time grows faster than the text.
const maxQueryBytes = 64 << 10

func parseQuery(text string) (ast.Body, error) {
	if len(text) > maxQueryBytes {
		return nil, ast.Errors{ast.NewError(ast.ParseErr, ast.NewLocation(nil, "", 1, 1),
			"the query has %d bytes; the limit is %d", len(text), maxQueryBytes)}
	}
	return ast.ParseBodyWithOpts(text, ast.ParserOptions{RegoVersion: ast.RegoV1})
}

// Compile answers POST of /v1/compile: it partially evaluates a query.
func (a *API) Compile() http.Handler { return a.handler(a.adHoc((*exchange).compile), http.MethodPost) }

func (x *exchange) compile() {
	o := x.observation()
	o.metrics.Timer(metrics.ServerHandler).Start()
	o.metrics.Timer(metrics.RegoQueryParse).Start()
	var request types.CompileRequestV1
	if err := x.decodeRequest(&request); err != nil {
		x.failRequest(err)
		return
	}
	partial, invalid := partialOf(request)
	if invalid != nil {
		writer.Error(x.w, http.StatusBadRequest, invalid)
		return
	}
	o.metrics.Timer(metrics.RegoQueryParse).Stop()
	left, err := x.g.Partial(x.r.Context(), partial, o.Observation)
	if err != nil {
		x.failQuery(err, types.MsgCompileModuleError)
		return
	}
	if !x.fits(left) {
		x.failDecision(x.g.AnswerTooLong())
		return
	}
	o.metrics.Timer(metrics.ServerHandler).Stop()
	var result any = types.PartialEvaluationResultV1{Queries: left.Queries, Support: left.Support}
	answer := types.CompileResponseV1{Result: &result, Metrics: o.measured()}
	if answer.Explanation, err = x.explanation(o); err != nil {
		x.failDecision(err)
		return
	}
	x.write(answer)
}
