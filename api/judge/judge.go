package judge

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// minCharacters is the minimum length of a text, without surrounding space, that is worth a call.
const minCharacters = 20

// errTimedOut is the cause of a context that ended by the judge's timeout, not by its caller.
var errTimedOut = errors.New("the judge timed out")

// Judge judges texts; see the package comment. Its methods are safe for concurrent use.
type Judge struct {
	cfg      Config // without the API key
	endpoint *endpoint
	verdicts *verdicts
}

// Request is a text to judge.
type Request struct {
	Kind      Kind // empty: every configured kind that applies to the direction
	Direction Direction
	Content   string
}

// New makes a Judge. Its error lists every invalid setting. It opens no connection.
func New(cfg Config) (*Judge, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Kinds = slices.Clone(cfg.Kinds)
	j := &Judge{endpoint: newEndpoint(cfg), verdicts: newVerdicts(cfg.CacheTTL, cfg.CacheEntries)}
	cfg.APIKey = ""
	j.cfg = cfg
	return j, nil
}

// Run waits until ctx ends, then closes the idle connections of the judge's own HTTP client, if it has one.
// It does not wait for calls in progress. A Judge can be used without Run.
func (j *Judge) Run(ctx context.Context) error {
	<-ctx.Done()
	if j.cfg.HTTPClient == nil {
		j.endpoint.http.CloseIdleConnections()
	}
	return nil
}

// Model returns the name of the configured model.
func (j *Judge) Model() string { return j.cfg.Model }

// InvalidateJudgeVerdictCache invalidates all cached verdicts in constant time. A call in progress still
// answers its caller, but is not cached. Call it when the policy has changed.
func (j *Judge) InvalidateJudgeVerdictCache() { j.verdicts.invalidate() }

// Assess judges one text. A failure of the endpoint is not an error: the fail mode decides, and the verdict
// has JudgeFailed or FailedKinds set. An error means that there is no verdict: it is a [*RequestError], or
// wraps the error of ctx. The verdict returned with an error is empty; do not treat it as an allow.
//
// A text of fewer than 20 characters, or one that no kind applies to, is allowed without a call.
func (j *Judge) Assess(ctx context.Context, req Request) (Verdict, error) {
	// Read both first: after any later change the cache uses other keys.
	epoch, generation := j.verdicts.epoch.Load(), j.cfg.Generation()
	kinds, err := j.kindsFor(req)
	if err != nil {
		return Verdict{}, err
	}
	if len(kinds) == 0 {
		return unjudged(generation, fmt.Sprintf("no judge is configured for a %s", req.Direction)), nil
	}
	if utf8.RuneCountInString(strings.TrimSpace(req.Content)) < minCharacters {
		return unjudged(generation, "too short to judge"), nil
	}
	bounded, cancel := context.WithTimeoutCause(ctx, 2*j.cfg.Timeout, errTimedOut) // a wait and a call
	defer cancel()
	k := key{
		generation: generation, epoch: epoch, model: j.cfg.Model,
		direction: req.Direction, content: sha256.Sum256([]byte(req.Content)),
	}
	outcomes := make([]outcome, len(kinds))
	var calls sync.WaitGroup
	for i, s := range kinds {
		k := k
		k.kind = s.kind
		calls.Go(func() { outcomes[i] = j.assessKind(bounded, s, k, req.Content) })
	}
	calls.Wait()
	for _, o := range outcomes {
		if errors.Is(o.err, errAbandoned) {
			return Verdict{}, fmt.Errorf("judge a %s: %w", req.Direction, context.Cause(ctx))
		}
	}
	return merge(outcomes, j.cfg.FailMode, generation), nil
}

// kindsFor checks a request and returns the kinds to assess it by.
func (j *Judge) kindsFor(req Request) ([]spec, error) {
	if req.Direction != Prompt && req.Direction != Completion {
		return nil, &RequestError{Field: "direction", Problem: fmt.Sprintf("%q is neither prompt nor completion", req.Direction)}
	}
	if n := len(req.Content); n > j.cfg.MaxContentBytes {
		return nil, &RequestError{
			Field:   "content",
			Problem: fmt.Sprintf("%d bytes are %v: the maximum is %d", n, ErrContentTooLarge, j.cfg.MaxContentBytes),
			Err:     ErrContentTooLarge,
		}
	}
	if req.Kind != "" {
		s, ok := specs[req.Kind]
		switch {
		case !ok:
			return nil, &RequestError{Field: "kind", Problem: fmt.Sprintf("%q is unknown: the kinds are %v", req.Kind, Kinds())}
		case !slices.Contains(j.cfg.Kinds, req.Kind):
			return nil, &RequestError{Field: "kind", Problem: fmt.Sprintf("%q is not among judge.kinds", req.Kind)}
		case !s.applies(req.Direction):
			return nil, &RequestError{Field: "kind", Problem: fmt.Sprintf("%q is not for a %s", req.Kind, req.Direction)}
		}
		return []spec{s}, nil
	}
	var kinds []spec
	for _, kind := range Kinds() {
		if s := specs[kind]; slices.Contains(j.cfg.Kinds, kind) && s.applies(req.Direction) {
			kinds = append(kinds, s)
		}
	}
	return kinds, nil
}

// assessKind assesses a text by one kind: from the cache, a call in progress, or the endpoint. The outcome's
// error is a *CallError, or errAbandoned if the caller has gone.
func (j *Judge) assessKind(ctx context.Context, s spec, k key, content string) outcome {
	for first := true; ; first = false {
		cached, f, lead := j.verdicts.join(k)
		if f == nil {
			if first && j.cfg.Observe.Hit != nil {
				j.cfg.Observe.Hit(s.kind, actionFor(cached.severity))
			}
			return outcome{spec: s, answer: cached, cached: first}
		}
		if first && j.cfg.Observe.Miss != nil {
			j.cfg.Observe.Miss(s.kind)
		}
		if lead {
			a, err := j.lead(ctx, s, k, f, content)
			return outcome{spec: s, answer: a, err: err}
		}
		select {
		case <-f.done:
		case <-ctx.Done():
		}
		switch {
		case ctx.Err() != nil:
			// A leader that stays ends in time, so each of them has left.
			failed := j.endpoint.fail(ctx, s.kind, 0, ctx.Err())
			failed.busy("the callers that asked about the same text left before an answer came")
			return outcome{spec: s, err: j.gone(ctx, failed)}
		case !errors.Is(f.err, errAbandoned):
			return outcome{spec: s, answer: f.answer, err: f.err}
		}
	}
}

// lead makes the call, and shares its result with the callers that wait for f.
func (j *Judge) lead(ctx context.Context, s spec, k key, f *flight, content string) (a answer, err error) {
	err = errAbandoned
	defer func() { j.verdicts.finish(k, f, a, err) }()
	leave, failed := j.endpoint.enter(ctx, s.kind)
	if failed != nil {
		return answer{}, j.failed(ctx, s.kind, failed)
	}
	defer leave()
	start := time.Now() // the wait for a slot says nothing about the model
	called, cancel := context.WithTimeoutCause(ctx, j.cfg.Timeout, errTimedOut)
	defer cancel()
	a, used, failed := j.endpoint.ask(called, s, k.direction, content)
	call := Call{
		Kind: s.kind, Model: k.model, Duration: time.Since(start),
		Action: actionFor(a.severity), Severity: a.severity,
		PromptTokens: used.PromptTokens, AnswerTokens: used.CompletionTokens,
	}
	if failed != nil {
		call.Action, call.Severity = ActionError, SeverityNone
	}
	if j.cfg.Observe.Call != nil {
		j.cfg.Observe.Call(call)
	}
	if failed == nil {
		return a, nil
	}
	return answer{}, j.failed(ctx, s.kind, failed)
}

// failed reports a failure to the observer, and returns the error of the outcome.
func (j *Judge) failed(ctx context.Context, kind Kind, failed *CallError) error {
	if j.cfg.Observe.Error != nil {
		j.cfg.Observe.Error(kind, failed)
	}
	return j.gone(ctx, failed)
}

// gone returns errAbandoned if the caller has left, which says nothing about the endpoint, else failed.
func (j *Judge) gone(ctx context.Context, failed *CallError) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTimedOut) {
		return errAbandoned
	}
	return failed
}
