package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"defenseclaw/api"
	"defenseclaw/api/accesslog"
	"defenseclaw/api/decisionlog"
	"defenseclaw/api/domains"
	"defenseclaw/api/events"
	"defenseclaw/api/judge"
	"defenseclaw/api/metrics"
	"defenseclaw/cmd/internal/gcpacer"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/engine"
	"defenseclaw/engine/source"
	"defenseclaw/watcher"

	"go.uber.org/zap"
)

// wire makes the parts and connects them.
func (s *Sidecar) wire(token string, byHand bool) (err error) {
	set := s.cfg.Settings
	s.unlimited = byHand
	s.metrics, err = metrics.New(metrics.Config{
		Version: s.cfg.Version, Routes: api.Routes(), VerdictTTL: set.Judge.CacheTTL, Snapshot: s.snapshot, Bundles: s.bundleMetrics,
		OnError: func(err error) { s.cfg.Logger.Warn("metrics or traces could not be exported", zap.Error(err)) },
	})
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if s.events, err = events.New(events.Config{}); err != nil {
		return err
	}
	j, err := s.makeJudge(set.Judge)
	if err := errors.Join(err, s.makeDecisionLog(), s.makeAccessLog(), s.makeRecorder(), s.makeStatusSender()); err != nil {
		return err
	}
	s.judge.Store(j)
	if err := s.makeWorkers(); err != nil {
		return err
	}
	if err := errors.Join(s.makeSource(), s.makeEngine()); err != nil {
		return err
	}
	authzen, byDefault, err := s.decisionPaths()
	if err := errors.Join(err, s.makeWatcher(), s.makeConfigWatcher(), s.makeConsole(), s.makeObserver()); err != nil {
		return err
	}
	cfg := s.apiConfig(token)
	cfg.AuthZEN, cfg.DefaultDecision = authzen, byDefault
	s.server, err = api.New(cfg)
	return err
}

// apiConfig is what the server is made of, except for paths of documents.
func (s *Sidecar) apiConfig(token string) api.Config {
	set := s.cfg.Settings
	return api.Config{
		Console:   s.pages,
		Engine:    s.engine,
		Source:    s.source,
		PolicyDir: set.PolicyDir, SourceURL: set.Source.URL, DataDir: set.DataDir, SourceHealth: s.sourceHealth, Refresh: s.refresh,
		BundleStatus: s.bundleStatusFunc(), OPAConfig: s.opaConfig, BundlesMissing: s.bundlesMissing,
		Chosen:    s.chosen,
		Token:     token,
		FindToken: s.tokens.Find,

		TokenDigests: s.tokens.Digests,
		BindHost:     s.bindHost,
		Watch:        s.watchHealth,
		LastGood:     s.lastGood, Kept: s.kept(), Past: s.past(), Actor: s.who.actor, Inspect: s.schema.Refuse, Verify: s.signed.Func(), Reviews: s.reviewer.forAPI(),
		Evaluate: s.newEvaluator().evaluate,
		Fleet:    s.fleetFunc(),
		Control:  s.control,
		Metrics:  s.metrics,
		Audit:    s.audit,
		Judge:    s.judge.Load(),
		Settings: s.configStatus,
		Parts:    s.partStates,
		HILT:     s.hilt, Guardrail: s.guardrail, ChangeGuardrail: s.changeGuardrail,
		Events:    s.events,
		Decisions: s.decisions, Access: s.access, Prints: s.prints,
		Recorder:  s.recorder,
		Elsewhere: s.elsewhere(), DecisionsElsewhere: s.isolation() == isolateAll, Unready: s.unready, StaleSource: &s.staleSource,
		Validated: s.announceValidated,
		Version:   s.cfg.Version,
		Logger:    s.cfg.Logger,
		TLS:       s.certificates.config(),

		AllowedHosts: set.AllowedHosts, RequestsPerSecond: s.rateLimit(set), StrictBuiltinErrors: set.StrictBuiltinErrors,
	}
}

// hilt is the setting of config.yaml, as the domains take it.
func (s *Sidecar) hilt() domains.HILT { return domains.HILT(s.live.now.Load().Settings.HILT) }

// makeEngine makes the engine, unless directories are only validated.
func (s *Sidecar) makeEngine() (err error) {
	set := s.cfg.Settings
	if set.ValidateOnly {
		return nil
	}
	s.engine, err = engine.New(engine.Config{
		Source: s.noting, Announcements: s.announcements(), Review: s.reviewer.forEngine(), Govern: s.govern(), Verify: s.signed.Func(), OnVerified: s.noteVerified,
		Checks: s.checks(), Whole: s.origin != nil,
		Limits:          s.limits(),
		RemovalWait:     set.RemovalWait,
		Keep:            domains.Keep(),
		DecisionTimeout: set.DecisionTimeout, MaxDecisions: set.MaxDecisions, MaxAnswerBytes: set.MaxAnswerBytes,
		NoPrograms: !set.Programs, MaxDecisionBytes: set.MaxDecisionBytes, Shadow: set.Shadow, OnDifference: s.logDifference,
		Elsewhere: s.decideElsewhere(),
	})
	if err == nil && s.control != nil {
		s.control.Attach(s.engine)
	}
	if err == nil && s.reviewer != nil {
		s.reviewer.lost = s.engine.LossOf
	}
	return err
}

// limits are those of the policy directory.
func (s *Sidecar) limits() source.Limits {
	set := s.cfg.Settings
	return source.Limits{
		FileBytes: set.MaxFileBytes, Files: set.MaxFiles, Depth: set.MaxDepth,
		Memory: cmp.Or(set.MaxPolicyMemory, gcpacer.ForPolicy(os.Getenv)),
	}
}

// relevant is what the watch reports: tests, too, where they are run.
func (s *Sidecar) relevant() func(rel string) bool {
	if s.evaluations != nil {
		return source.RelevantToTests
	}
	return source.Relevant
}

// makeWatcher makes the watcher if there is a directory to watch.
func (s *Sidecar) makeWatcher() (err error) {
	set := s.cfg.Settings
	if s.engine == nil || set.PolicyDir == "" || !set.Watch {
		return nil
	}
	s.watcher, err = watcher.New(watcher.Config{
		Root:              set.PolicyDir,
		Relevant:          s.relevant(),
		Mode:              watcher.Mode(set.WatchMode),
		Debounce:          set.Debounce,
		PollInterval:      set.PollInterval,
		SafetyInterval:    set.SafetyInterval,
		FullCheckInterval: set.FullCheckInterval,
		MaxDepth:          set.MaxDepth,
		HealthChanged:     s.reportWatch,
	})
	return err
}

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

// makeJudge makes the judge if the settings name an endpoint; else it is nil.
func (s *Sidecar) makeJudge(set settings.Judge) (*judge.Judge, error) {
	cfg := judgeConfig(set)
	if cfg.BaseURL == "" {
		return nil, nil
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
	j, err := judge.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	return j, nil
}

// makeAccessLog makes the access log if the settings name a place for it.
func (s *Sidecar) makeAccessLog() (err error) {
	set := s.cfg.Settings.Access
	if set.File == "" || set.Sample == 0 {
		return nil
	}
	cfg := accesslog.Config{File: set.File, Megabytes: set.Megabytes, Backups: set.Backups, Sample: set.Sample, Lost: func(err error) {
		s.cfg.Logger.Error("lines of the access log are lost", zap.Error(err))
	}}
	if set.File == settings.AccessToStdout {
		cfg.File, cfg.Writer = "", cmp.Or[io.Writer](s.cfg.Stdout, io.Discard)
	}
	s.access, err = accesslog.New(cfg)
	return err
}

// makeDecisionLog makes the decision log if the settings name a place for it.
func (s *Sidecar) makeDecisionLog() error {
	set := s.cfg.Settings.Decisions
	toStdout := set.Console && s.cfg.Stdout != nil
	service, post, err := s.decisionService() //nolint:bodyclose // it is a function, which its caller's calls close
	if err != nil || s.cfg.Settings.ValidateOnly || !toStdout && set.File == "" && set.URL == "" && post == nil {
		return err
	}
	cfg, err := shownDecisions(set)
	if err != nil {
		return err
	}
	cfg.File, cfg.FileMegabytes, cfg.FileBackups = set.File, set.FileMegabytes, set.FileBackups
	cfg.URL, cfg.Partition, cfg.Token, cfg.MinDelay, cfg.MaxDelay = set.URL, set.Partition, set.Token, set.MinDelay, set.MaxDelay
	cfg.UploadBytes, cfg.BufferBytes = set.UploadBytes, set.BufferBytes
	if post != nil {
		cfg.URL, cfg.Post = service, post
	}
	cfg.ID, cfg.Labels = s.id, s.labels()
	cfg.Version, cfg.Logger = s.cfg.Version, s.cfg.Logger
	if toStdout {
		cfg.Console = s.cfg.Stdout
	}
	s.decisions, err = decisionlog.New(cfg)
	return err
}

// shownDecisions are the settings of what is shown of decisions, in a log and in records.
func shownDecisions(set settings.DecisionLog) (cfg decisionlog.Config, err error) {
	cfg = decisionlog.Config{EnvoyBodies: set.EnvoyBodies, SecretNames: set.SecretNames, PlainNames: set.PlainNames}
	if len(set.EnvoyHeaders) > 0 {
		cfg.EnvoyHeaders = set.EnvoyHeaders
	}
	if cfg.Mask, err = engine.ParsePath(set.Mask); err != nil {
		return cfg, err
	}
	cfg.Drop, err = engine.ParsePath(set.Drop)
	return cfg, err
}

// makeEnvoy makes the server for Envoy if there is an address for it.
func (s *Sidecar) makeEnvoy() (err error) {
	if s.envoyListener == nil {
		return nil
	}
	policy, err := engine.ParsePath(s.cfg.Settings.ExtAuthz.Policy)
	if err != nil {
		return err
	}
	s.envoy, err = s.server.ExtAuthz(policy, s.cfg.Settings.ExtAuthz.DryRun)
	return err
}
