package judge

import (
	"context"
	"crypto/rand"
	"errors"
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
	maxAnswerBytes = 256 << 10 // of a response's body; a verdict is one or two thousand
	maxHeaderBytes = 64 << 10
)

// errPanic stands for a panic of the client library: the endpoint chooses what it has to read.
var errPanic = errors.New("panic while reading the answer")

// endpoint is where the questions go.
type endpoint struct {
	chat            openai.ChatCompletionService
	http            *http.Client
	host            string
	model           string
	timeout         time.Duration
	maxAnswerTokens int64
	slots           chan struct{}
	lacks           atomic.Uint32 // a dialect: what the endpoint has said it does not know
}

func newEndpoint(cfg Config) *endpoint {
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		base = &url.URL{} // checked before
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
	// The text goes where the operator said and nowhere else.
	e.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	options := []option.RequestOption{
		option.WithBaseURL(cfg.BaseURL),
		option.WithHTTPClient(e.http),
		option.WithMaxRetries(cfg.MaxRetries),
		option.WithMiddleware(boundAnswer),
		option.WithHeader("User-Agent", "defenseclaw"),
	}
	// The endpoint need not know what machine this is.
	for _, name := range []string{"Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version"} {
		options = append(options, option.WithHeaderDel("X-Stainless-"+name))
	}
	if cfg.APIKey != "" {
		options = append(options, option.WithAPIKey(cfg.APIKey))
	}
	// Not openai.NewClient: it takes a key, a base URL and headers from the environment, and would
	// send another provider's key to this one.
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

// boundAnswer limits how much of a response is read, decompressed, whatever its status.
func boundAnswer(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	res, err := next(req)
	if res != nil && res.Body != nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxAnswerBytes)
	}
	return res, err
}

// ask puts one question and reads the answer, within ctx, which has a deadline.
func (e *endpoint) ask(ctx context.Context, s spec, direction Direction, content string) (answer, openai.CompletionUsage, *CallError) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		failed := e.fail(ctx, s.kind, 0, ctx.Err())
		failed.Reason, failed.Problem = ReasonBusy, "too many calls are under way"
		return answer{}, openai.CompletionUsage{}, failed
	}
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
		// Only what made the difference is remembered: a text could make one request fail by itself.
		e.lacks.Or(uint32(speaks))
		a, err := readCompletion(s, completion)
		if err != nil {
			return answer{}, completion.Usage, e.fail(ctx, s.kind, status, err)
		}
		return a, completion.Usage, nil
	}
}

// post sends one request, and again as MaxRetries allows and the deadline leaves room: nobody waits
// longer between two attempts than a quarter of the time that is left.
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

// readCompletion takes a judgement from a completion that holds one and is whole.
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

// dialect is what an endpoint lacks of today's protocol. Endpoints and models differ in it, and say
// so only by refusing a request.
type dialect uint32

const (
	lacksSchema      dialect = 1 << iota // response_format: the answer is parsed as strictly without it
	lacksTemperature                     // thinking models choose their own
	lacksMaxTokens                       // thinking models want max_completion_tokens, older servers know only max_tokens
)

// adapt gives the dialect to try next, if the endpoint refused a request for a parameter that it can
// be spared. Each is given up once, so there is an end.
func (d dialect) adapt(res *http.Response) (dialect, bool) {
	if res == nil || res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnprocessableEntity {
		return d, false
	}
	body, err := io.ReadAll(res.Body) // the client has read it all, and put it back
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
