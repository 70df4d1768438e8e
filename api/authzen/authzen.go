// Package authzen serves the OpenID AuthZEN Authorization API 1.0 from a generation of the engine: single
// evaluations, batches, and the metadata by which enforcement points find both.
//
// Each evaluation is one decision by a document of the policy, with subject, action, resource and context
// as its input. The document is a boolean, or an object with a boolean decision and an optional context,
// which becomes part of the answer. If the document is undefined, the decision is false.
package authzen

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
)

// batchDeadlines is the deadline of a batch in units of that of a single decision, which each decision of the
// batch keeps.
const batchDeadlines = 10

// The paths of the endpoints, given by the specification.
const (
	evaluationPath  = "/access/v1/evaluation"
	evaluationsPath = "/access/v1/evaluations"
)

// API is the Authorization API. All fields are required.
type API struct {
	Serving func() (*engine.Generation, error) // fails while there is no generation to decide by
	Policy  engine.Path                        // of the document that decides

	Begin decision.BeginFunc // called for every decision
}

// exchange is a request and the generation that answers it.
type exchange struct {
	*API
	w http.ResponseWriter
	r *http.Request
	g *engine.Generation

	batch string // id of the batch; empty for a single evaluation
}

// Evaluation answers POST of /access/v1/evaluation with one decision.
func (a *API) Evaluation() http.Handler {
	return a.handler(func(x *exchange, body map[string]any) {
		e, err := readEvaluation(body, "")
		if err != nil {
			x.fail(err)
			return
		}
		x.answerOne(e)
	})
}

// Evaluations answers POST of /access/v1/evaluations with several decisions, all by one generation. Members
// of the body other than evaluations are their defaults. Without evaluations it answers as [API.Evaluation].
func (a *API) Evaluations() http.Handler {
	return a.handler(func(x *exchange, body map[string]any) {
		all, err := readEvaluations(body)
		if err != nil {
			x.fail(err)
			return
		}
		last, err := all.last()
		switch {
		case err != nil:
			x.fail(err)
		case len(all.list) == 0:
			x.answerOne(all.defaults)
		default:
			x.answerAll(all, last)
		}
	})
}

// Metadata answers GET of /.well-known/authzen-configuration, with URLs at the address that the caller used.
func (a *API) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		base := scheme + "://" + r.Host
		decision.WriteJSON(w, http.StatusOK, map[string]string{
			"policy_decision_point":       base,
			"access_evaluation_endpoint":  base + evaluationPath,
			"access_evaluations_endpoint": base + evaluationsPath,
		})
	})
}

func (a *API) handler(answer func(x *exchange, body map[string]any)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, err := a.Serving()
		if err != nil {
			w.Header().Set("Retry-After", decision.RetryAfter)
			decision.WriteError(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		decision.SetHeaders(w.Header(), g)
		x := &exchange{API: a, w: w, r: r, g: g}
		body, err := decode(r)
		if err != nil {
			x.fail(err)
			return
		}
		answer(x, body)
	})
}

func (x *exchange) answerOne(e evaluation) {
	input, err := e.input()
	if err != nil {
		x.fail(err)
		return
	}
	d, err := x.decide(x.r.Context(), input)
	if err != nil {
		x.fail(err)
		return
	}
	decision.WriteJSON(x.w, http.StatusOK, d)
}

// answerAll makes the decisions in order, up to the first that equals last unless it is nil. An evaluation
// that fails is denied, with its error in the context.
func (x *exchange) answerAll(all evaluations, last *bool) {
	ctx, cancel := context.WithTimeout(x.r.Context(), batchDeadlines*x.g.Timeout())
	defer cancel()
	x.batch = decision.ID(x.g)
	answer := struct {
		Evaluations []json.RawMessage `json:"evaluations"`
	}{make([]json.RawMessage, 0, len(all.list))}
	size := 0
	for _, e := range all.list {
		if x.r.Context().Err() != nil {
			return // nobody reads the answer
		}
		d, err := x.decideWithin(ctx, e, all.defaults)
		text := encode(d, err)
		if size+len(text) > x.g.MaxAnswerBytes() {
			d = verdict{}
			text = encode(d, x.g.AnswerTooLong())
		}
		size += len(text)
		answer.Evaluations = append(answer.Evaluations, text)
		if last != nil && d.Decision == *last {
			break
		}
	}
	decision.WriteJSON(x.w, http.StatusOK, answer)
}

// encode writes a verdict, or the denial that an error means. It is done at once, so that the bytes of all count.
func encode(d verdict, err error) json.RawMessage {
	if err != nil {
		const maxMessage = 4 << 10 // it may hold a text of the caller's, and counts for each evaluation
		message := err.Error()
		d = verdict{Context: map[string]any{"error": itemError{statusOf(err), message[:min(maxMessage, len(message))]}}}
	}
	text, _ := json.Marshal(d) //nolint:errchkjson // of what the engine made of a value, and of texts
	return text
}

// decideWithin makes the input in a slot, since that takes time as well, and decides.
func (x *exchange) decideWithin(ctx context.Context, e, defaults evaluation) (d verdict, err error) {
	ctx, cancel := context.WithTimeout(ctx, x.g.Timeout())
	defer cancel()
	var input *engine.Input
	err = x.g.Within(ctx, func() (err error) {
		input, err = e.or(defaults).input()
		return err
	})
	if err != nil {
		return verdict{}, err
	}
	return x.decide(ctx, input)
}

// decide makes one decision.
func (x *exchange) decide(ctx context.Context, input *engine.Input) (verdict, error) {
	ctx, end := x.Begin(ctx, x.g, decision.Question{BatchID: x.batch, Path: x.Policy, Input: input})
	result, defined, err := x.g.DecideInput(ctx, x.Policy, input)
	end(decision.Answer{Result: result, Defined: defined, Err: err})
	if err != nil || !defined {
		return verdict{}, err
	}
	return read(x.Policy, result)
}

// fail answers a request that failed.
func (x *exchange) fail(err error) {
	if after, ok := engine.RetryAfter(err); ok {
		decision.SetRetryAfter(x.w.Header(), after)
	}
	if tooLarge := decision.TooLarge(err); tooLarge != nil {
		decision.WriteError(x.w, http.StatusRequestEntityTooLarge, tooLarge.Error())
		return
	}
	decision.WriteError(x.w, statusOf(err), err.Error())
}

func statusOf(err error) int {
	_, unavailable := engine.RetryAfter(err)
	switch {
	case errors.As(err, new(*requestError)):
		return http.StatusBadRequest
	case unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// itemError is the error of an evaluation in a batch, which is denied then.
type itemError struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
}
