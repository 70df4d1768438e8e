package sidecar

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"
)

// logDifference reports a mistake of a program. The decision was OPA's evaluator's, and the program is not used again.
func (s *Sidecar) logDifference(d engine.Difference) {
	const most = 1000 // bytes of a value
	text := func(v ast.Value) string { return shortText(v, most) }
	s.cfg.Logger.Error("a program decided otherwise than OPA's evaluator, whose answer was given; the program is not used any more",
		zap.Stringer("path", d.Path), zap.String("program", text(d.Program)), zap.String("opa", text(d.OPA)), zap.Error(d.Err))
	if err := s.keepDifference(d); err != nil {
		s.cfg.Logger.Error("the decision of a program that differs is not kept", zap.Error(err))
	}
}

func shortText(v ast.Value, most int) string {
	if v == nil {
		return "undefined"
	}
	if engine.TextBytes(v, most) > most {
		return "a long " + ast.ValueName(v)
	}
	return v.String()
}

// maxDifferencesBytes bounds the file of differences. A program is given up at its first one, so there are few.
const maxDifferencesBytes = 8 << 20

// kept is a line of the file of differences: what is needed to find the mistake.
type kept struct {
	Time     time.Time `json:"time"`
	Version  string    `json:"version"`
	Revision string    `json:"revision"` // of what serves by now
	Path     string    `json:"path"`
	Strict   bool      `json:"strict_builtin_errors"`
	Input    string    `json:"input"` // as Rego writes values, and so are the answers
	Program  string    `json:"program"`
	OPA      string    `json:"opa"`
	Error    string    `json:"error,omitempty"` // of OPA's evaluator
}

func (s *Sidecar) keepDifference(d engine.Difference) error {
	line := kept{
		Time: time.Now().UTC(), Version: s.cfg.Version, Path: d.Path.String(), Strict: d.Strict(),
		Input: shortText(d.Input, maxDifferencesBytes/4), Program: shortText(d.Program, maxDifferencesBytes/4), OPA: shortText(d.OPA, maxDifferencesBytes/4),
	}
	if g := s.engine.Current(); g != nil {
		line.Revision = g.Revision()
	}
	if d.Err != nil {
		line.Error = d.Err.Error()
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	s.differences.Lock()
	defer s.differences.Unlock()
	f, err := os.OpenFile(filepath.Join(s.cfg.Settings.DataDir, "differences.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // Write says what was not written
	if info, err := f.Stat(); err == nil && info.Size()+int64(len(text)) > maxDifferencesBytes {
		return fmt.Errorf("%s has %d bytes, and may have %d: read it and remove it", f.Name(), info.Size(), maxDifferencesBytes)
	}
	_, err = f.Write(append(text, '\n'))
	return err
}
