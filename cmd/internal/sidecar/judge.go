package sidecar

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"defenseclaw/api/judge"
)

// resolveJudge reads the settings of the judge; what they mean is checked where it is made.
func resolveJudge(r *resolver, getenv func(string) string) judge.Config {
	return judge.Config{
		BaseURL: r.text("judge.base_url"), Model: r.text("judge.model"), APIKey: getenv(r.text("judge.api_key_env")),
		FailMode:        judge.FailMode(r.text("judge.fail_mode")),
		Kinds:           kinds(r.text("judge.kinds")),
		Timeout:         parse(r, "judge.timeout", "a duration such as 30s", duration),
		MaxRetries:      parse(r, "judge.max_retries", "a number", retries),
		MaxConcurrent:   parse(r, "judge.max_concurrent", "a number", count),
		MaxContentBytes: parse(r, "judge.max_content_bytes", "a number of bytes", count),
		MaxAnswerTokens: parse(r, "judge.max_answer_tokens", "a number", count),
		CacheTTL:        parse(r, "judge.cache_ttl", "a duration such as 30s", duration),
		CacheEntries:    parse(r, "judge.cache_entries", "a number", count),
	}
}

// kinds takes a list as YAML's text of it, or with commas.
func kinds(text string) []judge.Kind {
	list := []judge.Kind{}
	for _, name := range strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune("[], ", c) }) {
		list = append(list, judge.Kind(name))
	}
	return list
}

// retries keeps the judge from taking none for its default.
func retries(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if n == 0 {
		n = -1
	}
	return n, err
}

// makeJudge makes the judge that the settings ask for: none, unless they name an endpoint.
func (s *Sidecar) makeJudge() (err error) {
	cfg := s.cfg.Settings.Judge
	if cfg.BaseURL == "" {
		return nil
	}
	cfg.Generation = s.generation
	cfg.Observe = judge.Observe{
		Call: func(c judge.Call) {
			s.metrics.JudgeCall(context.Background(), string(c.Kind), string(c.Action), string(c.Severity), c.Duration)
		},
		Hit: func(k judge.Kind, a judge.Action) {
			s.metrics.CacheHit(string(k), string(a))
		},
		Miss:  func(k judge.Kind) { s.metrics.CacheMiss(string(k)) },
		Error: func(k judge.Kind, e *judge.CallError) { s.judgeFailed(k, e) },
	}
	s.judge, err = judge.New(cfg)
	if err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	return nil
}
