package opa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/server/types"
)

// batchDeadlines is the deadline of a batch in units of that of a single decision, which each decision of the
// batch keeps.
const batchDeadlines = 10

// maxBatchInputBytes bounds the inputs of a batch together. A common input counts in each input that it is joined
// with: joining takes time for each of its keys.
const maxBatchInputBytes = 256 << 20

type batchRequest struct {
	Inputs map[string]any `json:"inputs"`
	Common any            `json:"common_input"` // objects are merged with each input, whose keys take precedence
}

type batchAnswer struct {
	ID        string                     `json:"batch_decision_id"`
	Metrics   types.MetricsV1            `json:"metrics,omitempty"`
	Responses map[string]json.RawMessage `json:"responses"`
}

type batchError struct {
	DecisionID string `json:"decision_id"`
	*types.ErrorV1
}

// batch is a batch under way.
type batch struct {
	*exchange
	path        engine.Path
	common      ast.Value // nil: none
	commonBytes int
	inputBytes  int // of the inputs until now
	answerBytes int // of the responses until now
	responses   []batchResponse
	failures    int
}

// batchResponse is encoded as soon as it is made, so that its bytes count. Its text has no status yet: it gets one
// only if the responses have different ones.
type batchResponse struct {
	name   string
	failed bool
	text   json.RawMessage
}

// Batch answers POST of /v1/batch/data/{path} in the form of Enterprise OPA: the document at one path for
// several inputs, all decided by one generation. The status is 200 if all decisions succeed, 500 if all
// fail, else 207.
func (a *API) Batch() http.Handler {
	return a.handler(a.observed(3, batchDeadlines, (*exchange).batch), http.MethodPost)
}

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
	b := &batch{exchange: x}
	var err error
	if b.path, err = x.path(3); err != nil {
		x.failRequest(err)
		return
	}
	if x.refused(b.path) {
		return
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), batchDeadlines*x.g.Timeout())
	defer cancel()
	if err := b.setCommon(ctx, request.Common); err != nil {
		x.failDecision(err)
		return
	}
	x.batchID = decision.ID(x.g)
	for _, name := range slices.Sorted(maps.Keys(request.Inputs)) {
		if x.r.Context().Err() != nil {
			return // nobody reads the answer
		}
		b.add(b.decideOne(ctx, name, request.Inputs[name]))
	}
	o.metrics.Timer(metrics.ServerHandler).Stop()
	b.write(o.measured())
}

// setCommon converts the common input, once for all.
func (b *batch) setCommon(ctx context.Context, common any) error {
	if common == nil {
		return nil
	}
	return b.g.Within(ctx, func() (err error) {
		b.common, err = ast.InterfaceToValue(common)
		b.commonBytes = engine.TextBytes(b.common, maxBatchInputBytes)
		return err
	})
}

// decideOne makes one decision, and its response.
func (b *batch) decideOne(ctx context.Context, name string, document any) batchResponse {
	o, one := b.observation(), *b.exchange
	one.id = decision.ID(b.g)
	value, err := b.valueOf(ctx, &one, document, o)
	r := batchResponse{name: name}
	if err == nil {
		answer := dataAnswer{DecisionID: one.id, Provenance: b.provenance(), Metrics: o.measured()}
		if value != nil {
			answer.Result = &jsonValue{value, b.g}
		}
		r.text, err = json.Marshal(answer)
		if errors.Is(err, engine.ErrAnswerTooLong) || b.answerBytes+len(r.text) > b.g.MaxAnswerBytes() {
			err = b.g.AnswerTooLong()
		}
	}
	if err != nil {
		r.failed = true
		r.text = b.encodeError(one.id, err)
	}
	return r
}

// valueOf makes the input of one decision, and the decision.
func (b *batch) valueOf(ctx context.Context, one *exchange, document any, o observation) (ast.Value, error) {
	ctx, cancel := context.WithTimeout(ctx, b.g.Timeout())
	defer cancel()
	var input ast.Value
	err := b.g.Within(ctx, func() (err error) {
		input, err = b.input(document)
		return err
	})
	if err != nil {
		return nil, err
	}
	one.r = b.r.WithContext(ctx)
	return one.decide(b.path, engine.InputOf(input), o)
}

func (b *batch) input(document any) (ast.Value, error) {
	input, err := ast.InterfaceToValue(document)
	if err != nil {
		return nil, err
	}
	if b.inputBytes += b.commonBytes + engine.TextBytes(input, maxBatchInputBytes); b.inputBytes > maxBatchInputBytes {
		return nil, fmt.Errorf("the inputs of the batch, with the common input in each, have more than %d bytes", maxBatchInputBytes)
	}
	return joined(b.common, input), nil
}

// encodeError encodes an error, which may hold a text of the caller's: in a batch, that would count many times.
func (b *batch) encodeError(id string, err error) json.RawMessage {
	const maxErrorBytes = 64 << 10
	text, err2 := json.Marshal(batchError{DecisionID: id, ErrorV1: evaluationError(err)})
	if err2 != nil || len(text) > maxErrorBytes || b.answerBytes+len(text) > b.g.MaxAnswerBytes() {
		text, _ = json.Marshal(batchError{DecisionID: id, ErrorV1: types.NewErrorV1(types.CodeInternal, "the error is too long")}) //nolint:errchkjson // texts only
	}
	return text
}

func (b *batch) add(r batchResponse) {
	b.answerBytes += len(r.name) + len(r.text)
	b.responses = append(b.responses, r)
	if r.failed {
		b.failures++
	}
}

func (b *batch) write(measured types.MetricsV1) {
	answer := batchAnswer{ID: b.batchID, Metrics: measured, Responses: make(map[string]json.RawMessage, len(b.responses))}
	status, mixed := http.StatusOK, b.failures > 0 && b.failures < len(b.responses)
	for _, r := range b.responses {
		if mixed {
			r.text = withStatus(r.text, r.failed)
		}
		answer.Responses[r.name] = r.text
	}
	switch {
	case mixed:
		status = http.StatusMultiStatus
	case b.failures > 0:
		status = http.StatusInternalServerError
	}
	b.writeStatus(status, answer)
}

// withStatus puts the status of a response before its other fields.
func withStatus(response json.RawMessage, failed bool) json.RawMessage {
	status := "200"
	if failed {
		status = "500"
	}
	return append([]byte(`{"http_status_code":"`+status+`",`), response[1:]...)
}

// joined returns over with the keys that only base has, at every depth at which both are objects. It shares what
// it does not change with both.
func joined(base, over ast.Value) ast.Value {
	b, ok1 := base.(ast.Object)
	o, ok2 := over.(ast.Object)
	if !ok1 || !ok2 {
		return over
	}
	result := ast.NewObject()
	b.Foreach(func(key, value *ast.Term) {
		if own := o.Get(key); own != nil {
			value = ast.NewTerm(joined(value.Value, own.Value))
		}
		result.Insert(key, value)
	})
	o.Foreach(func(key, value *ast.Term) {
		if b.Get(key) == nil {
			result.Insert(key, value)
		}
	})
	return result
}
