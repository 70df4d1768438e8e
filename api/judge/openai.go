package judge

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const maxHeaderBytes = 64 << 10

// endpoint is the configured chat endpoint.
type endpoint struct {
	http            *http.Client
	url             string // of POST
	host            string
	key             string // a bearer token; empty: none
	maxRetries      int
	model           string
	timeout         time.Duration
	maxAnswerTokens int64
	slots           chan struct{}
	lacks           atomic.Uint32 // a dialect: the parameters that the endpoint has refused
}

func newEndpoint(cfg Config) *endpoint {
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		base = &url.URL{} // check has parsed it
	}
	e := &endpoint{
		url: base.JoinPath("chat", "completions").String(), host: base.Host, key: cfg.APIKey,
		model: cfg.Model, timeout: cfg.Timeout, maxRetries: cfg.MaxRetries,
		maxAnswerTokens: int64(cfg.MaxAnswerTokens),
		slots:           make(chan struct{}, cfg.MaxConcurrent),
	}
	e.http = ownClient(cfg.MaxConcurrent)
	if cfg.HTTPClient != nil {
		given := *cfg.HTTPClient
		e.http = &given
	}
	// The text must go to the configured address only.
	e.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return e
}

func ownClient(connections int) *http.Client {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if standard, ok := http.DefaultTransport.(*http.Transport); ok {
		transport = standard.Clone()
	}
	transport.MaxIdleConnsPerHost = connections
	transport.MaxResponseHeaderBytes = maxHeaderBytes
	return &http.Client{Transport: transport}
}

// enter waits for a slot, for at most the timeout. The caller calls leave after its request.
func (e *endpoint) enter(ctx context.Context, kind Kind) (leave func(), failed *CallError) {
	waiting, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	select {
	case e.slots <- struct{}{}:
		return func() { <-e.slots }, nil
	case <-waiting.Done():
		failed = e.fail(ctx, kind, 0, waiting.Err())
		failed.busy(fmt.Sprintf("no slot became free within %v: too many calls are in progress", e.timeout))
		return nil, failed
	}
}

// ask sends one request and reads the answer. The caller holds a slot, and ctx must have a deadline.
func (e *endpoint) ask(ctx context.Context, s spec, direction Direction, content string) (answer, usage, *CallError) {
	marker := rand.Text()
	speaks := dialect(e.lacks.Load())
	for {
		got, err := e.post(ctx, e.question(s, direction, marker, content, speaks))
		if err != nil || got.status != http.StatusOK {
			if next, ok := speaks.adapt(got); ok && ctx.Err() == nil {
				speaks = next
				continue
			}
			return answer{}, usage{}, e.fail(ctx, s.kind, got.status, err)
		}
		// Store only a dialect that has worked: a request may also fail because of its text.
		e.lacks.Or(uint32(speaks))
		c, err := got.completion()
		if err != nil {
			return answer{}, usage{}, e.fail(ctx, s.kind, got.status, err)
		}
		a, err := readCompletion(s, c)
		if err != nil {
			return answer{}, c.Usage, e.fail(ctx, s.kind, got.status, err)
		}
		return a, c.Usage, nil
	}
}

func (e *endpoint) question(s spec, direction Direction, marker, content string, speaks dialect) question {
	q := question{
		Model:    e.model,
		Messages: []message{{"system", s.instructions()}, {"user", sample(direction, marker, content)}},
	}
	if speaks&lacksSchema == 0 {
		q.Format = &format{Type: "json_schema", Schema: namedSchema{"judgement_of_" + string(s.kind), true, s.schema()}}
	}
	if speaks&lacksTemperature == 0 {
		q.Temperature = new(float64)
	}
	if speaks&lacksMaxTokens == 0 {
		q.MaxTokens = e.maxAnswerTokens
	} else {
		q.MaxCompletionTokens = e.maxAnswerTokens
	}
	return q
}

// readCompletion reads the answer from a complete completion.
func readCompletion(s spec, c completion) (answer, error) {
	if len(c.Choices) != 1 {
		return answer{}, &answerError{reason: ReasonMalformed, problem: "the answer does not have exactly one choice"}
	}
	choice := c.Choices[0]
	switch {
	case choice.FinishReason == "length":
		return answer{}, &answerError{reason: ReasonTruncated, problem: "the answer was cut off: judge.max_answer_tokens is too small for the model"}
	case choice.FinishReason == "content_filter":
		return answer{}, &answerError{reason: ReasonRefused, problem: "the endpoint's content filter stopped the answer"}
	case choice.Message.Refusal != "":
		return answer{}, &answerError{reason: ReasonRefused, problem: "the model refused to answer"}
	case choice.FinishReason == "tool_calls", choice.FinishReason == "function_call":
		return answer{}, &answerError{reason: ReasonMalformed, problem: "the model called a tool instead of answering"}
	}
	a, err := parseAnswer(s, choice.Message.Content)
	if err != nil {
		return answer{}, &answerError{reason: ReasonMalformed, problem: "the answer is not a judgement: " + err.Error(), err: err}
	}
	return a, nil
}

// dialect is the set of parameters that an endpoint does not support. Endpoints and models differ, and only
// a refused request reveals it.
type dialect uint32

const (
	lacksSchema      dialect = 1 << iota // response_format: the answer is parsed as strictly without it
	lacksTemperature                     // reasoning models do not accept one
	lacksMaxTokens                       // reasoning models require max_completion_tokens, older servers support only max_tokens
)

// adapt returns the dialect to try next if the endpoint refused an optional parameter. Each parameter is
// dropped at most once, so this ends.
func (d dialect) adapt(got reply) (dialect, bool) {
	if got.status != http.StatusBadRequest && got.status != http.StatusUnprocessableEntity {
		return d, false
	}
	text := strings.ToLower(string(got.body))
	for _, parameter := range []struct {
		lacks dialect
		names []string
	}{
		{lacksMaxTokens, []string{"max_tokens"}},
		{lacksTemperature, []string{"temperature"}},
		{lacksSchema, []string{"response_format", "json_schema", "structured output"}},
	} {
		if d&parameter.lacks != 0 {
			continue
		}
		for _, name := range parameter.names {
			if strings.Contains(text, name) {
				return d | parameter.lacks, true
			}
		}
	}
	return d, false
}
