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

// batchTexts is a [batchRequest] whose inputs are still texts.
type batchTexts struct {
	Inputs map[string]json.RawMessage `json:"inputs"`
	Common json.RawMessage            `json:"common_input"`
}

// document is an input as a text, or as it was decoded.
type document struct {
	text    json.RawMessage // nil: it is decoded
	decoded any
}

type batchAnswer struct {
	ID        string                     `json:"batch_decision_id"`
	Metrics   types.MetricsV1            `json:"metrics,omitempty"`
	Responses map[string]json.RawMessage `json:"responses"`
	Warning   *types.Warning             `json:"warning,omitempty"`
}

type batchError struct {
	DecisionID string `json:"decision_id"`
	*types.ErrorV1
}

// batch is a batch under way.
type batch struct {
	*exchange
	path        engine.Path
	common      *engine.Input // nil: none
	commonBytes int
	inputBytes  int // of the inputs until now
	answerBytes int // of the responses until now
	responses   []batchResponse
	failures    int
	invalidPath error // of the first decision
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
	inputs, common, err := x.batchDocuments()
	if err != nil {
		x.failRequest(err)
		return
	}
	if inputs == nil {
		x.failRequest(errors.New("missing required 'inputs' object"))
		return
	}
	b := &batch{exchange: x}
	if b.path, err = x.path(3); err != nil {
		x.failRequest(err)
		return
	}
	if x.refused(b.path) {
		return
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), batchDeadlines*x.g.Timeout())
	defer cancel()
	if err := b.setCommon(ctx, common); err != nil {
		x.failDecision(err)
		return
	}
	x.batchID = decision.ID(x.g)
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if x.r.Context().Err() != nil {
			return // nobody reads the answer
		}
		b.add(b.decideOne(ctx, name, inputs[name]))
		if b.invalidPath != nil { // for every input
			x.failDecision(b.invalidPath)
			return
		}
	}
	o.metrics.Timer(metrics.ServerHandler).Stop()
	b.write(o.measured())
}

// batchDocuments returns the inputs, nil if the request has none, and the common input. Of a body in JSON they are texts.
func (x *exchange) batchDocuments() (inputs map[string]document, common *document, err error) {
	body, err := decision.Body(x.r)
	if err != nil {
		return nil, nil, err
	}
	var texts batchTexts
	if !x.isYAML() && decodeJSON(body, &texts) == nil && texts.Inputs != nil {
		inputs = make(map[string]document, len(texts.Inputs))
		for name, text := range texts.Inputs {
			inputs[name] = document{text: text}
		}
		if len(texts.Common) > 0 && string(texts.Common) != "null" {
			common = &document{text: texts.Common}
		}
		return inputs, common, nil
	}
	// What is wrong is told as by OPA's types.
	var request batchRequest
	if err := x.decodeBody(body, &request); err != nil || request.Inputs == nil {
		return nil, nil, err
	}
	inputs = make(map[string]document, len(request.Inputs))
	for name, decoded := range request.Inputs {
		inputs[name] = document{decoded: decoded}
	}
	if request.Common != nil {
		common = &document{decoded: request.Common}
	}
	return inputs, common, nil
}

// read makes the input of a document.
func (b *batch) read(d document) (*engine.Input, error) {
	if d.text != nil {
		if input, err := b.g.ReadInput(b.path, d.text); err == nil {
			return input, nil
		}
		if err := decodeJSON(d.text, &d.decoded); err != nil {
			return nil, err
		}
	}
	return inputOf(&d.decoded)
}

// setCommon reads the common input, once for all.
func (b *batch) setCommon(ctx context.Context, common *document) error {
	if common == nil {
		return nil
	}
	return b.g.Within(ctx, func() (err error) {
		b.common, err = b.read(*common)
		b.commonBytes = b.common.CompactBytes(maxBatchInputBytes)
		return err
	})
}

// decideOne makes one decision, and its response.
func (b *batch) decideOne(ctx context.Context, name string, d document) batchResponse {
	one := *b.exchange
	one.id = decision.ID(b.g)
	r := batchResponse{name: name}
	err := b.respond(ctx, &one, d, &r)
	if errors.Is(err, engine.ErrAnswerTooLong) || err == nil && b.answerBytes+len(r.text) > b.g.MaxAnswerBytes() {
		err = b.g.AnswerTooLong()
	}
	if isInvalidPath(err) {
		b.invalidPath = err
	}
	if err != nil {
		r.failed = true
		r.text = b.encodeError(one.id, err)
	}
	return r
}

// respond makes the input of one decision, the decision, and the text of its response.
func (b *batch) respond(ctx context.Context, one *exchange, d document, r *batchResponse) error {
	ctx, cancel := context.WithTimeout(ctx, b.g.Timeout())
	defer cancel()
	var input *engine.Input
	err := b.g.Within(ctx, func() (err error) {
		input, err = b.input(d)
		return err
	})
	if err != nil {
		return err
	}
	one.r = b.r.WithContext(ctx)
	o := b.observation()
	if b.params == nil {
		r.text, _, err = one.appendPlain(nil, b.path, input, o.Lenient)
		return err
	}
	value, err := one.decide(b.path, input, o)
	if err != nil {
		return err
	}
	answer := dataAnswer{DecisionID: one.id, Provenance: b.provenance(), Metrics: o.measured()}
	if value != nil {
		answer.Result = &jsonValue{value, b.g}
	}
	r.text, err = json.Marshal(answer)
	return err
}

func (b *batch) input(d document) (*engine.Input, error) {
	input, err := b.read(d)
	if err != nil {
		return nil, err
	}
	if b.inputBytes += b.commonBytes + input.CompactBytes(maxBatchInputBytes); b.inputBytes > maxBatchInputBytes {
		return nil, fmt.Errorf("the inputs of the batch, with the common input in each, have more than %d bytes", maxBatchInputBytes)
	}
	return engine.JoinInputs(b.common, input), nil
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
	status, mixed := http.StatusOK, b.failures > 0 && b.failures < len(b.responses)
	for i, r := range b.responses {
		if mixed {
			b.responses[i].text = withStatus(r.text, r.failed)
		}
	}
	switch {
	case mixed:
		status = http.StatusMultiStatus
	case b.failures > 0:
		status = http.StatusInternalServerError
	}
	if b.params == nil {
		b.writePlain(status)
		return
	}
	answer := batchAnswer{ID: b.batchID, Metrics: measured, Warning: b.absent(b.path), Responses: make(map[string]json.RawMessage, len(b.responses))}
	for _, r := range b.responses {
		answer.Responses[r.name] = r.text
	}
	b.writeStatus(status, answer)
}

// writePlain writes a [batchAnswer] of an ID and responses. encoding/json would look through the text of each response
// twice more. The responses are in the order of their names.
func (b *batch) writePlain(status int) {
	text := make([]byte, 0, b.answerBytes+len(b.responses)*len(`"":,`)+len(b.batchID)+len(`{"batch_decision_id":"","responses":{}}`)+1)
	text = append(append(text, `{"batch_decision_id":"`...), b.batchID...)
	text = append(text, `","responses":{`...)
	for i, r := range b.responses {
		if i > 0 {
			text = append(text, ',')
		}
		name, _ := json.Marshal(r.name) //nolint:errchkjson // a text
		text = append(append(append(text, name...), ':'), r.text...)
	}
	text = append(b.appendAbsent(append(text, '}'), b.path), "}\n"...)
	if len(text) > b.g.MaxAnswerBytes() {
		b.failDecision(b.g.AnswerTooLong())
		return
	}
	b.answer(status, text)
}

// withStatus puts the status of a response before its other fields.
func withStatus(response json.RawMessage, failed bool) json.RawMessage {
	status := "200"
	if failed {
		status = "500"
	}
	return append([]byte(`{"http_status_code":"`+status+`",`), response[1:]...)
}
