package judge

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The defaults of zero settings.
const (
	DefaultTimeout         = 30 * time.Second
	DefaultMaxContentBytes = 128 << 10
	DefaultCacheTTL        = 30 * time.Second
	DefaultCacheEntries    = 4096
	DefaultMaxConcurrent   = 16
	DefaultMaxRetries      = 2
	DefaultMaxAnswerTokens = 1024
)

// FailMode is the verdict on a text that could not be judged.
type FailMode string

// The fail modes.
const (
	Open   FailMode = "open"   // allow, severity NONE, judge_failed; not for ReasonBusy, which always blocks
	Closed FailMode = "closed" // block, severity CRITICAL, judge_failed
)

// Config configures [New]. Names in parentheses are the settings that errors of [New] refer to.
type Config struct {
	// BaseURL is the endpoint up to, not including, /chat/completions: https://api.openai.com/v1
	// (judge.base_url). Required: http or https, with neither user, query nor fragment.
	BaseURL string
	// Model is the name of the model, sent unchanged (judge.model). Required.
	Model string
	// APIKey is sent as a bearer token. Empty: no Authorization header.
	APIKey string
	// Timeout limits the time of a call, including retries and reading the answer, and before it, separately,
	// the wait for a slot (judge.timeout). One text therefore takes twice as long at most. 0: DefaultTimeout.
	Timeout time.Duration
	// MaxContentBytes is the maximum length of a text (judge.max_content_bytes). 0: DefaultMaxContentBytes.
	MaxContentBytes int
	// FailMode applies to texts that could not be judged (judge.fail_mode). Empty: Closed.
	FailMode FailMode
	// CacheTTL is how long a verdict is cached after the call; a hit does not extend it
	// (judge.cache_ttl). 0: DefaultCacheTTL.
	CacheTTL time.Duration
	// CacheEntries is the maximum number of cached verdicts (judge.cache_entries). 0: DefaultCacheEntries.
	CacheEntries int
	// Kinds are the kinds to assess texts by (judge.kinds). Nil: all.
	Kinds []Kind
	// MaxConcurrent is the maximum number of concurrent requests to the endpoint
	// (judge.max_concurrent). 0: DefaultMaxConcurrent.
	MaxConcurrent int
	// MaxRetries is how often a request is retried after a broken connection or a status of 408,
	// 409, 429 or 5xx (judge.max_retries). 0: DefaultMaxRetries; negative: never.
	MaxRetries int
	// MaxAnswerTokens limits the length of the model's answer (judge.max_answer_tokens). An answer that
	// reaches it is a failure; reasoning models need more. 0: DefaultMaxAnswerTokens.
	MaxAnswerTokens int
	// Generation returns the number of the policy generation in service. It is called once at the start
	// of each Assess. Nil: always 0, and only InvalidateJudgeVerdictCache invalidates the cache.
	Generation func() uint64
	// Observe holds optional callbacks.
	Observe Observe
	// HTTPClient sends the requests. Its redirect policy is not used: redirects are refused. Nil: a client
	// of the judge's own, with the environment's proxy.
	HTTPClient *http.Client
}

// Observe are optional callbacks of a [Judge]. They are called concurrently, without a lock held, by the
// goroutines that judge, and must not block or panic.
type Observe struct {
	Call  func(Call)             // after each call to the endpoint, successful or not
	Hit   func(Kind, Action)     // a cached verdict was used
	Miss  func(Kind)             // no cached verdict: the text is judged, or shares a call in progress
	Error func(Kind, *CallError) // a kind could not be judged; once per call, not per caller that shares it
}

// Call is one call to the endpoint, including its retries, but not the wait for a slot.
type Call struct {
	Kind     Kind
	Model    string
	Action   Action   // ActionError if it failed
	Severity Severity // SeverityNone if it failed
	Duration time.Duration
	// PromptTokens and AnswerTokens are the usage that the endpoint reports; 0 if it does not.
	PromptTokens, AnswerTokens int64
}

func (c Config) withDefaults() Config {
	c.FailMode = cmp.Or(c.FailMode, Closed)
	if c.Kinds == nil {
		c.Kinds = Kinds()
	}
	if c.Generation == nil {
		c.Generation = func() uint64 { return 0 }
	}
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.CacheTTL = cmp.Or(c.CacheTTL, DefaultCacheTTL)
	c.MaxContentBytes = cmp.Or(c.MaxContentBytes, DefaultMaxContentBytes)
	c.CacheEntries = cmp.Or(c.CacheEntries, DefaultCacheEntries)
	c.MaxConcurrent = cmp.Or(c.MaxConcurrent, DefaultMaxConcurrent)
	c.MaxAnswerTokens = cmp.Or(c.MaxAnswerTokens, DefaultMaxAnswerTokens)
	c.MaxRetries = max(cmp.Or(c.MaxRetries, DefaultMaxRetries), 0)
	return c
}

// check returns all invalid settings; each error names its setting.
func (c Config) check() error {
	problems := []error{checkBaseURL(c.BaseURL), checkAPIKey(c.APIKey)}
	if strings.TrimSpace(c.Model) == "" {
		problems = append(problems, errors.New("judge.model is not set"))
	}
	if c.FailMode != Open && c.FailMode != Closed {
		problems = append(problems, fmt.Errorf("judge.fail_mode is %q: expected open or closed", c.FailMode))
	}
	for _, k := range c.Kinds {
		if !slices.Contains(Kinds(), k) {
			problems = append(problems, fmt.Errorf("judge.kinds contains %q: the kinds are %v", k, Kinds()))
		}
	}
	if len(c.Kinds) == 0 {
		problems = append(problems, errors.New("judge.kinds is empty: to disable the judge, leave judge.base_url empty"))
	}
	for _, n := range []struct {
		setting string
		value   int64
	}{
		{"judge.timeout", int64(c.Timeout)},
		{"judge.max_content_bytes", int64(c.MaxContentBytes)},
		{"judge.cache_ttl", int64(c.CacheTTL)},
		{"judge.cache_entries", int64(c.CacheEntries)},
		{"judge.max_concurrent", int64(c.MaxConcurrent)},
		{"judge.max_answer_tokens", int64(c.MaxAnswerTokens)},
	} {
		if n.value < 0 {
			problems = append(problems, fmt.Errorf("%s is negative", n.setting))
		}
	}
	return errors.Join(problems...)
}

// checkBaseURL does not quote the value, which may contain a password.
func checkBaseURL(value string) error {
	if value == "" {
		return errors.New("judge.base_url is not set")
	}
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return errors.New("judge.base_url is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return errors.New("judge.base_url is not of the form https://host/path")
	case u.User != nil:
		return errors.New("judge.base_url contains a user name or password: the key has a setting of its own")
	case u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return errors.New("judge.base_url has a query or a fragment: it must end before /chat/completions")
	}
	return nil
}

func checkAPIKey(key string) error {
	for _, r := range key {
		if r <= ' ' || r > '~' {
			return errors.New("the judge's API key contains a character that is invalid in a header: a space, a line end or a non-ASCII character")
		}
	}
	return nil
}
