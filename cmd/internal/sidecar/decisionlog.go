package sidecar

import (
	"strconv"

	"defenseclaw/api/decisionlog"
	"defenseclaw/api/metrics"
)

// decisionLog are the settings of the decision log, which is off where none names a place for it.
type decisionLog struct {
	Console bool
	decisionlog.Config
}

func resolveDecisionLog(r *resolver, dataDir string, getenv func(string) string) decisionLog {
	return decisionLog{
		Console: parse(r, "decision-log", "true or false", strconv.ParseBool),
		Config: decisionlog.Config{
			File:          r.path("decision-log-file", dataDir),
			FileMegabytes: parse(r, "decision_logs.file_max_megabytes", "a number", count),
			FileBackups:   parse(r, "decision_logs.file_backups", "a number", count),
			URL:           r.text("decision-log-url"),
			Partition:     r.text("decision_logs.partition"),
			Token:         getenv(r.text("decision_logs.token_env")),
			MinDelay:      parse(r, "decision_logs.min_delay", "a duration such as 1s", duration),
			MaxDelay:      parse(r, "decision_logs.max_delay", "a duration such as 10s", duration),
			UploadBytes:   parse(r, "decision_logs.upload_size_limit_bytes", "a number of bytes", count),
			BufferBytes:   parse(r, "decision_logs.buffer_size_limit_bytes", "a number of bytes", count),
			Mask:          parse(r, "decision_logs.mask_decision", "a path such as system/log/mask", document),
			Drop:          parse(r, "decision_logs.drop_decision", "a path such as system/log/drop", document),
		},
	}
}

// makeDecisionLog makes the log that the settings ask for, if they ask for one.
func (s *Sidecar) makeDecisionLog() (err error) {
	settings := s.cfg.Settings
	cfg := settings.Decisions.Config
	cfg.Version, cfg.Logger = s.cfg.Version, s.cfg.Logger
	if settings.Decisions.Console {
		cfg.Console = s.cfg.Stdout
	}
	if settings.ValidateOnly || cfg.Console == nil && cfg.File == "" && cfg.URL == "" {
		return nil
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
