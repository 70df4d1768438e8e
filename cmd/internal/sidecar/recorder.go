package sidecar

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"

	"defenseclaw/api/decisionlog"
	"defenseclaw/api/metrics"
	"defenseclaw/api/recorder"
	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
)

// optOut is the document that says which decisions must not be recorded.
var optOut = engine.Path{"system", "record", "drop"}

// makeRecorder makes the recorder of decisions, unless it is off.
func (s *Sidecar) makeRecorder() error {
	set := s.cfg.Settings.Record
	if !set.Enabled || s.cfg.Settings.ValidateOnly {
		return nil
	}
	shown, err := shownDecisions(s.cfg.Settings.Decisions)
	if err != nil {
		return err
	}
	cleaner := decisionlog.NewCleaner(shown, optOut)
	cfg := recorder.Config{
		Clean: cleaner.Clean, Masks: cleaner.Asks, Current: s.serves, Bounds: records.Bounds{Bytes: int(set.Bytes)}, Dir: set.Dir,
		Unobserved: s.isolation() == isolateAll, Logger: s.cfg.Logger,
	}
	for _, text := range set.Paths {
		path, err := engine.ParsePath(text)
		if err != nil {
			return fmt.Errorf("record.paths: %w", err)
		}
		cfg.Paths = append(cfg.Paths, path)
	}
	if set.KeyEnv != "" {
		if set.Dir == "" {
			return fmt.Errorf("record.key_env is %s, and nothing is written: record.dir was expected", set.KeyEnv)
		}
		if cfg.Key = recordKey(set.Key); cfg.Key == nil {
			return fmt.Errorf("record.key_env: %s holds no key: 32 bytes were expected, as 64 hexadecimal digits or in base64", set.KeyEnv)
		}
	}
	s.recorder, err = recorder.New(cfg)
	return err
}

// serves is the generation that serves; nil: none does. The engine is made after those that ask.
func (s *Sidecar) serves() *engine.Generation {
	if s.engine == nil {
		return nil
	}
	return s.engine.Current()
}

// recordKey is nil for what is no key.
func recordKey(text string) []byte {
	const keyBytes = 32
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if key, err := decode(text); err == nil && len(key) == keyBytes {
			return key
		}
	}
	return nil
}

func (s *Sidecar) recorderHealth() (h metrics.Recorder) {
	if s.recorder != nil {
		now := s.recorder.Health()
		h = metrics.Recorder{Records: now.Records, Strata: now.Strata, Bytes: now.Bytes, Dropped: maps.Clone(now.Dropped)}
	}
	return h
}
