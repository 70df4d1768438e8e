package judge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

const (
	maxAnswerBytes = 256 << 10 // of a response body; a verdict has 1 to 2 KB
	maxHeaderBytes = 64 << 10
)

// errPanic stands for a panic of the client library, whose input is under the endpoint's control.
var errPanic = errors.New("panic while reading the answer")

// endpoint is the configured chat endpoint.
type endpoint struct {
	chat            openai.ChatCompletionService
	http            *http.Client
	host            string
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
		host: base.Host, model: cfg.Model, timeout: cfg.Timeout,
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
	options := []option.RequestOption{
		option.WithBaseURL(cfg.BaseURL),
		option.WithHTTPClient(e.http),
		option.WithMaxRetries(cfg.MaxRetries),
		option.WithMiddleware(boundAnswer),
		option.WithHeader("User-Agent", "defenseclaw"),
	}
	// Do not reveal the machine to the endpoint.
	for _, name := range []string{"Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version"} {
		options = append(options, option.WithHeaderDel("X-Stainless-"+name))
	}
	if cfg.APIKey != "" {
		options = append(options, option.WithAPIKey(cfg.APIKey))
	}
	// Not openai.NewClient: it reads a key, a base URL and headers from the environment, and would send
	// another provider's key to this endpoint.
	e.chat = openai.NewChatCompletionService(options...)
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

// boundAnswer limits the decompressed size of a response, whatever its status.
func boundAnswer(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	res, err := next(req)
	if res != nil && res.Body != nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxAnswerBytes)
	}
	return res, err
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
func (e *endpoint) ask(ctx context.Context, s spec, direction Direction, content string) (answer, openai.CompletionUsage, *CallError) {
	marker := rand.Text()
	speaks := dialect(e.lacks.Load())
	for {
		completion, res, err := e.post(ctx, e.params(s, direction, marker, content, speaks)) //nolint:bodyclose // the client has read and closed it
		status := 0
		if res != nil {
			status = res.StatusCode
		}
		if err != nil || status != http.StatusOK {
			if next, ok := speaks.adapt(res); ok && ctx.Err() == nil {
				speaks = next
				continue
			}
			return answer{}, openai.CompletionUsage{}, e.fail(ctx, s.kind, status, err)
		}
		// Store only a dialect that has worked: a request may also fail because of its text.
		e.lacks.Or(uint32(speaks))
		a, err := readCompletion(s, completion)
		if err != nil {
			return answer{}, completion.Usage, e.fail(ctx, s.kind, status, err)
		}
		return a, completion.Usage, nil
	}
}

// post sends one request, with up to MaxRetries retries before the deadline. The delay before a retry is at
// most a quarter of the remaining time.
func (e *endpoint) post(ctx context.Context, params openai.ChatCompletionNewParams) (c *openai.ChatCompletion, res *http.Response, err error) {
	defer func() {
		if recover() != nil {
			c, err = nil, errPanic
		}
	}()
	wait := time.Second
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(time.Until(deadline)/4, time.Millisecond)
	}
	c, err = e.chat.New(ctx, params, option.WithMaxRetryDelay(wait), option.WithResponseInto(&res))
	if err == nil && c == nil {
		err = errors.New("no completion")
	}
	return c, res, err
}

func (e *endpoint) params(s spec, direction Direction, marker, content string, speaks dialect) openai.ChatCompletionNewParams {
	params := openai.ChatCompletionNewParams{
		Model: e.model,
		Messages: []openai.ChatCompletionMessageParamUnion{
			openai.SystemMessage(s.instructions()),
			openai.UserMessage(sample(direction, marker, content)),
		},
	}
	if speaks&lacksSchema == 0 {
		params.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
			JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
				Name: "judgement_of_" + string(s.kind), Strict: openai.Bool(true), Schema: s.schema(),
			},
		}
	}
	if speaks&lacksTemperature == 0 {
		params.Temperature = openai.Float(0)
	}
	if speaks&lacksMaxTokens == 0 {
		params.MaxTokens = openai.Int(e.maxAnswerTokens)
	} else {
		params.MaxCompletionTokens = openai.Int(e.maxAnswerTokens)
	}
	return params
}

// readCompletion reads the answer from a complete completion.
func readCompletion(s spec, c *openai.ChatCompletion) (answer, error) {
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
func (d dialect) adapt(res *http.Response) (dialect, bool) {
	if res == nil || res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnprocessableEntity {
		return d, false
	}
	body, err := io.ReadAll(res.Body) // the client has read and replaced it
	if err != nil {
		return d, false
	}
	text := strings.ToLower(string(body))
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
