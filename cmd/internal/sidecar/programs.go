package sidecar

import (
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"
)

// logDifference reports a mistake of a program. The decision was OPA's evaluator's, and the program is not used again.
func (s *Sidecar) logDifference(d engine.Difference) {
	const most = 1000 // bytes of a value
	text := func(v ast.Value) string {
		if v == nil {
			return "undefined"
		}
		if engine.TextBytes(v, most) > most {
			return "a long " + ast.ValueName(v)
		}
		return v.String()
	}
	s.cfg.Logger.Error("a program decided otherwise than OPA's evaluator, whose answer was given; the program is not used any more",
		zap.Stringer("path", d.Path), zap.String("program", text(d.Program)), zap.String("opa", text(d.OPA)), zap.Error(d.Err))
}
