package judge

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// What a zero setting means.
const (
	DefaultTimeout         = 30 * time.Second
	DefaultMaxContentBytes = 128 << 10
	DefaultCacheTTL        = 30 * time.Second
	DefaultCacheEntries    = 4096
	DefaultMaxConcurrent   = 16
	DefaultMaxRetries      = 2
	DefaultMaxAnswerTokens = 1024
)

// FailMode says what a text gets that could not be judged.
type FailMode string

// The fail modes.
const (
	Open   FailMode = "open"   // allow, severity NONE, judge_failed
	Closed FailMode = "closed" // block, severity HIGH, judge_failed
)

// Config is what a [Judge] is made of. Names in parentheses are the settings that [New] names when
// it refuses a value.
type Config struct {
	// BaseURL is the endpoint up to, not including, /chat/completions: https://api.openai.com/v1
	// (judge.base_url). Required: http or https, with neither user, query nor fragment.
	BaseURL string
	// Model is sent as it is (judge.model). Required.
	Model string
	// APIKey is sent as a bearer token. Empty: no Authorization header.
	APIKey string
	// Timeout bounds the judging of one text: waiting for a slot, every retry, and reading the
	// answer (judge.timeout). 0: DefaultTimeout.
	Timeout time.Duration
	// MaxContentBytes is the longest text that is judged (judge.max_content_bytes). 0: DefaultMaxContentBytes.
	MaxContentBytes int
	// FailMode is for texts that could not be judged (judge.fail_mode). Empty: Open.
	FailMode FailMode
	// CacheTTL is how long a verdict is kept, counted from when it was given; being asked for again
	// does not prolong it (judge.cache_ttl). 0: DefaultCacheTTL.
	CacheTTL time.Duration
	// CacheEntries is how many verdicts are kept (judge.cache_entries). 0: DefaultCacheEntries.
	CacheEntries int
	// Kinds are those that are asked (judge.kinds). Nil: all.
	Kinds []Kind
	// MaxConcurrent is how many requests may be under way at the endpoint (judge.max_concurrent).
	// 0: DefaultMaxConcurrent.
	MaxConcurrent int
	// MaxRetries is how often a request is sent again after a broken connection or a status of 408,
	// 409, 429 or 5xx (judge.max_retries). 0: DefaultMaxRetries; negative: never.
	MaxRetries int
	// MaxAnswerTokens bounds what the model may write (judge.max_answer_tokens); an answer cut off
	// there is a failure. Models that think before they answer need more. 0: DefaultMaxAnswerTokens.
	MaxAnswerTokens int
	// Generation is the number of the policy that serves now, asked once at the start of each call.
	// Nil: always 0, and only InvalidateJudgeVerdictCache empties the cache.
	Generation func() uint64
	// Observe is told what happens.
	Observe Observe
	// HTTPClient sends the requests; its redirect policy is not used, since a redirect is refused.
	// Nil: one of the judge's own, with the environment's proxy.
	HTTPClient *http.Client
}

// Observe are the functions that are told what a [Judge] does, each optional. They run on the
// goroutines that judge, outside every lock, possibly several at once, and must not block or panic.
type Observe struct {
	Call  func(Call)             // a call to the endpoint ended, well or badly
	Hit   func(Kind, Action)     // a kept verdict was used
	Miss  func(Kind)             // none was kept; the text is judged, or shares a call under way
	Error func(Kind, *CallError) // a kind could not be judged; once per attempt, not per caller sharing it
}

// Call is one call to the endpoint, its retries included.
type Call struct {
	Kind     Kind
	Model    string
	Action   Action   // ActionError if it failed
	Severity Severity // SeverityNone if it failed
	Duration time.Duration
	// PromptTokens and AnswerTokens are what the endpoint says it will charge for; 0 if it does not say.
	PromptTokens, AnswerTokens int64
}

func (c Config) withDefaults() Config {
	if c.FailMode == "" {
		c.FailMode = Open
	}
	if c.Kinds == nil {
		c.Kinds = Kinds()
	}
	if c.Generation == nil {
		c.Generation = func() uint64 { return 0 }
	}
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	c.CacheTTL = orDefault(c.CacheTTL, DefaultCacheTTL)
	c.MaxContentBytes = orDefault(c.MaxContentBytes, DefaultMaxContentBytes)
	c.CacheEntries = orDefault(c.CacheEntries, DefaultCacheEntries)
	c.MaxConcurrent = orDefault(c.MaxConcurrent, DefaultMaxConcurrent)
	c.MaxAnswerTokens = orDefault(c.MaxAnswerTokens, DefaultMaxAnswerTokens)
	c.MaxRetries = max(orDefault(c.MaxRetries, DefaultMaxRetries), 0)
	return c
}

func orDefault[T comparable](set, otherwise T) T {
	var zero T
	if set == zero {
		return otherwise
	}
	return set
}

// check returns every problem of the settings, each naming its setting.
func (c Config) check() error {
	problems := []error{checkBaseURL(c.BaseURL), checkAPIKey(c.APIKey)}
	if strings.TrimSpace(c.Model) == "" {
		problems = append(problems, errors.New("judge.model is not set"))
	}
	if c.FailMode != Open && c.FailMode != Closed {
		problems = append(problems, fmt.Errorf("judge.fail_mode is %q: it can be open or closed", c.FailMode))
	}
	for _, k := range c.Kinds {
		if !slices.Contains(Kinds(), k) {
			problems = append(problems, fmt.Errorf("judge.kinds has %q: known are %v", k, Kinds()))
		}
	}
	if len(c.Kinds) == 0 {
		problems = append(problems, errors.New("judge.kinds is empty: a judge that judges nothing is turned off instead"))
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

// checkBaseURL does not quote the value: somebody may have put a password into it.
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
		return errors.New("judge.base_url has a user name or password in it: the key has a setting of its own")
	case u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return errors.New("judge.base_url has a query or a fragment: it ends before /chat/completions")
	}
	return nil
}

func checkAPIKey(key string) error {
	for _, r := range key {
		if r <= ' ' || r > '~' {
			return errors.New("the judge's API key has a character that no header can carry: a space, a line end or one beyond ASCII")
		}
	}
	return nil
}
