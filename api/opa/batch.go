package opa

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/server/writer"
)

// batchDeadlines is the deadline of a batch in units of that of a single decision, which each decision of the
// batch keeps.
const batchDeadlines = 10

type batchRequest struct {
	Inputs map[string]any `json:"inputs"`
	Common any            `json:"common_input"` // objects are merged with each input, whose keys take precedence
}

type batchAnswer struct {
	ID        string          `json:"batch_decision_id"`
	Metrics   types.MetricsV1 `json:"metrics,omitempty"`
	Responses map[string]any  `json:"responses"`
}

// batchResult is one decision of a batch. Status is set only if the decisions have different ones.
type batchResult struct {
	Status string `json:"http_status_code,omitempty"`
	dataAnswer
}

type batchError struct {
	Status     string `json:"http_status_code,omitempty"`
	DecisionID string `json:"decision_id"`
	*types.ErrorV1
}

// Batch answers POST of /v1/batch/data/{path} in the form of Enterprise OPA: the document at one path for
// several inputs, all decided by one generation. The status is 200 if all decisions succeed, 500 if all
// fail, else 207.
func (a *API) Batch() http.Handler { return a.handler((*exchange).batch, http.MethodPost) }

func (x *exchange) batch() {
	o := x.observation()
	o.metrics.Timer(metrics.ServerHandler).Start()
	var request batchRequest
	if err := x.decodeInput(&request); err != nil {
		x.failRequest(err)
		return
	}
	if request.Inputs == nil {
		x.failRequest(errors.New("missing required 'inputs' object"))
		return
	}
	path, err := x.path(3)
	if err != nil {
		x.failRequest(err)
		return
	}
	if x.refused(path) {
		return
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), batchDeadlines*x.g.Timeout())
	defer cancel()
	x.batchID = decision.ID(x.g)
	results, failures := map[string]*batchResult{}, map[string]*batchError{}
	for _, name := range slices.Sorted(maps.Keys(request.Inputs)) {
		result, err := x.batchDecision(ctx, path, joined(request.Common, request.Inputs[name]))
		if err != nil {
			failures[name] = &batchError{DecisionID: result.DecisionID, ErrorV1: evaluationError(err)}
			continue
		}
		results[name] = result
	}
	o.metrics.Timer(metrics.ServerHandler).Stop()
	x.writeBatch(results, failures, o.measured())
}

func (x *exchange) batchDecision(ctx context.Context, path engine.Path, document any) (*batchResult, error) {
	o := x.observation()
	answer := &batchResult{dataAnswer: dataAnswer{DecisionID: decision.ID(x.g)}}
	input, err := ast.InterfaceToValue(document)
	if err != nil {
		return answer, err
	}
	ctx, cancel := context.WithTimeout(ctx, x.g.Timeout())
	defer cancel()
	one := *x
	one.id = answer.DecisionID
	one.r = x.r.WithContext(ctx)
	value, err := one.decide(path, input, o)
	if err != nil {
		return answer, err
	}
	answer.Provenance, answer.Metrics = x.provenance(), o.measured()
	if value != nil {
		answer.Result = &jsonValue{value}
	}
	return answer, nil
}

func (x *exchange) writeBatch(results map[string]*batchResult, failures map[string]*batchError, measured types.MetricsV1) {
	answer := batchAnswer{ID: x.batchID, Metrics: measured, Responses: map[string]any{}}
	mixed := len(results) > 0 && len(failures) > 0
	for name, r := range results {
		if mixed {
			r.Status = "200"
		}
		answer.Responses[name] = r
	}
	for name, f := range failures {
		if mixed {
			f.Status = "500"
		}
		answer.Responses[name] = f
	}
	status := http.StatusOK
	switch {
	case mixed:
		status = http.StatusMultiStatus
	case len(failures) > 0:
		status = http.StatusInternalServerError
	}
	writer.JSON(x.w, status, answer, x.pretty()) //nolint:staticcheck // deprecated because of answers that cannot be encoded; this one can
}

// joined returns over with the keys that only base has, at every depth at which both are objects.
func joined(base, over any) any {
	b, ok1 := base.(map[string]any)
	o, ok2 := over.(map[string]any)
	if !ok1 || !ok2 {
		return over
	}
	result := maps.Clone(b)
	for k, v := range o {
		if old, ok := b[k]; ok {
			v = joined(old, v)
		}
		result[k] = v
	}
	return result
}
