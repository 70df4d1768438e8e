package sidecar

import (
	"defenseclaw/api/decisionlog"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"
)

// makeDecisionLog makes the log that the settings ask for, if they ask for one.
func (s *Sidecar) makeDecisionLog() error {
	set := s.cfg.Settings.Decisions
	toStdout := set.Console && s.cfg.Stdout != nil
	if s.cfg.Settings.ValidateOnly || !toStdout && set.File == "" && set.URL == "" {
		return nil
	}
	cfg := decisionlog.Config{
		File: set.File, FileMegabytes: set.FileMegabytes, FileBackups: set.FileBackups,
		URL: set.URL, Partition: set.Partition, Token: set.Token, MinDelay: set.MinDelay, MaxDelay: set.MaxDelay,
		UploadBytes: set.UploadBytes, BufferBytes: set.BufferBytes,
		Version: s.cfg.Version, Logger: s.cfg.Logger,
	}
	if toStdout {
		cfg.Console = s.cfg.Stdout
	}
	var err error
	if cfg.Mask, err = engine.ParsePath(set.Mask); err != nil {
		return err
	}
	if cfg.Drop, err = engine.ParsePath(set.Drop); err != nil {
		return err
	}
	s.decisions, err = decisionlog.New(cfg)
	return err
}

func (s *Sidecar) decisionLogHealth() (h metrics.DecisionLog) {
	if s.decisions != nil {
		now := s.decisions.Health()
		h.Written, h.Dropped = now.Written, now.Dropped
	}
	return h
}
