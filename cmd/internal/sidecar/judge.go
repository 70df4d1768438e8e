package sidecar

import (
	"cmp"
	"context"
	"fmt"

	"defenseclaw/api/judge"
	"defenseclaw/cmd/internal/settings"
)

// judgeConfig translates the settings.
func judgeConfig(s settings.Judge) judge.Config {
	cfg := judge.Config{
		BaseURL: s.BaseURL, Model: s.Model, APIKey: s.APIKey, FailMode: judge.FailMode(s.FailMode), Kinds: []judge.Kind{},
		Timeout: s.Timeout, MaxConcurrent: s.MaxConcurrent, MaxContentBytes: s.MaxContentBytes, MaxAnswerTokens: s.MaxAnswerTokens,
		MaxRetries: cmp.Or(s.MaxRetries, -1), // 0 would be the judge's default
		CacheTTL:   s.CacheTTL, CacheEntries: s.CacheEntries,
	}
	for _, name := range s.Kinds {
		cfg.Kinds = append(cfg.Kinds, judge.Kind(name))
	}
	return cfg
}

// makeJudge makes the judge that the settings ask for: none, unless they name an endpoint.
func (s *Sidecar) makeJudge() (err error) {
	cfg := judgeConfig(s.cfg.Settings.Judge)
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
