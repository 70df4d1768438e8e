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

// minCharacters is the length below which a text, without the space around it, is not worth a call.
const minCharacters = 20

// errTimedOut ends a call's context when the judge's own time is up, as opposed to its caller's.
var errTimedOut = errors.New("the judge's time is up")

// Judge judges texts. See the package for what it promises.
type Judge struct {
	cfg      Config // without the API key
	endpoint *endpoint
	verdicts *verdicts
}

// Request is a text to judge.
type Request struct {
	Kind      Kind // empty: every kind that is set and applies to the direction
	Direction Direction
	Content   string
}

// New makes a Judge, or returns every problem of its settings. It opens no connection.
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

// Run waits until ctx ends and then closes the idle connections of the judge's own HTTP client, if
// it has one. Calls under way are their callers'. A Judge judges whether or not Run runs.
func (j *Judge) Run(ctx context.Context) error {
	<-ctx.Done()
	if j.cfg.HTTPClient == nil {
		j.endpoint.http.CloseIdleConnections()
	}
	return nil
}

// Model is the model that is asked.
func (j *Judge) Model() string { return j.cfg.Model }

// InvalidateJudgeVerdictCache makes every verdict that is kept a miss, in constant time. A call that
// is under way still answers its caller, and is not kept. Call it when the policy has changed.
func (j *Judge) InvalidateJudgeVerdictCache() { j.verdicts.invalidate() }

// Judge judges one text. What the endpoint does wrong is the fail mode's business and gives a
// verdict with JudgeFailed or FailedKinds, not an error. An error means that there is no verdict: it
// is a [*RequestError], or it wraps ctx's. The verdict beside an error is empty and is not an allow.
//
// A text of fewer than 20 characters, or one that no kind applies to, is allowed without a call.
func (j *Judge) Judge(ctx context.Context, req Request) (Verdict, error) {
	// Both before anything else: whatever changes from here on makes other keys.
	epoch, generation := j.verdicts.epoch.Load(), j.cfg.Generation()
	kinds, err := j.plan(req)
	if err != nil {
		return Verdict{}, err
	}
	if len(kinds) == 0 {
		return unjudged(generation, fmt.Sprintf("no judge is set for a %s", req.Direction)), nil
	}
	if utf8.RuneCountInString(strings.TrimSpace(req.Content)) < minCharacters {
		return unjudged(generation, "too short to judge"), nil
	}
	bounded, cancel := context.WithTimeoutCause(ctx, j.cfg.Timeout, errTimedOut)
	defer cancel()
	k := key{
		generation: generation, epoch: epoch, model: j.cfg.Model,
		direction: req.Direction, content: sha256.Sum256([]byte(req.Content)),
	}
	outcomes := make([]outcome, len(kinds))
	var asked sync.WaitGroup
	for i, s := range kinds {
		k := k
		k.kind = s.kind
		asked.Go(func() { outcomes[i] = j.one(bounded, s, k, req.Content) })
	}
	asked.Wait()
	for _, o := range outcomes {
		if errors.Is(o.err, errAbandoned) {
			return Verdict{}, fmt.Errorf("judge a %s: %w", req.Direction, context.Cause(ctx))
		}
	}
	return merge(outcomes, j.cfg.FailMode, generation), nil
}

// plan checks a request and says which kinds to ask.
func (j *Judge) plan(req Request) ([]spec, error) {
	if req.Direction != Prompt && req.Direction != Completion {
		return nil, &RequestError{Field: "direction", Problem: fmt.Sprintf("%q is neither prompt nor completion", req.Direction)}
	}
	if n := len(req.Content); n > j.cfg.MaxContentBytes {
		return nil, &RequestError{
			Field:   "content",
			Problem: fmt.Sprintf("%d bytes are %v: at most %d", n, ErrContentTooLarge, j.cfg.MaxContentBytes),
			Err:     ErrContentTooLarge,
		}
	}
	if req.Kind != "" {
		s, known := specs[req.Kind]
		switch {
		case !known:
			return nil, &RequestError{Field: "kind", Problem: fmt.Sprintf("%q is unknown: known are %v", req.Kind, Kinds())}
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

// one asks one kind: the cache, else a call under way, else the endpoint. Its error is a *CallError,
// or errAbandoned if the caller is gone.
func (j *Judge) one(ctx context.Context, s spec, k key, content string) outcome {
	for first := true; ; first = false {
		kept, f, lead := j.verdicts.join(k)
		if f == nil {
			if first && j.cfg.Observe.Hit != nil {
				j.cfg.Observe.Hit(s.kind, actionFor(kept.severity))
			}
			return outcome{spec: s, answer: kept, cached: first}
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
			return outcome{spec: s, err: j.gone(ctx, j.endpoint.fail(ctx, s.kind, 0, ctx.Err()))}
		case !errors.Is(f.err, errAbandoned):
			return outcome{spec: s, answer: f.answer, err: f.err}
		}
	}
}

// lead makes the call for all who wait for f.
func (j *Judge) lead(ctx context.Context, s spec, k key, f *flight, content string) (a answer, err error) {
	err = errAbandoned
	defer func() { j.verdicts.finish(k, f, a, err) }()
	start := time.Now()
	a, used, failed := j.endpoint.ask(ctx, s, k.direction, content)
	call := Call{
		Kind: s.kind, Model: k.model, Duration: time.Since(start),
		Action: actionFor(a.severity), Severity: a.severity,
		PromptTokens: used.PromptTokens, AnswerTokens: used.CompletionTokens,
	}
	if failed != nil {
		call.Action, call.Severity = ActionError, SeverityNone
	}
	if j.cfg.Observe.Call != nil && (failed == nil || failed.Reason != ReasonBusy) {
		j.cfg.Observe.Call(call)
	}
	if failed == nil {
		return a, nil
	}
	if j.cfg.Observe.Error != nil {
		j.cfg.Observe.Error(s.kind, failed)
	}
	return answer{}, j.gone(ctx, failed)
}

// gone tells a call that failed from one whose caller left: that one says nothing of the endpoint.
func (j *Judge) gone(ctx context.Context, failed *CallError) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTimedOut) {
		return errAbandoned
	}
	return failed
}
