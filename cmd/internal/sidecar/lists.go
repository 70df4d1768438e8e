package sidecar

import (
	"defenseclaw/api/audit"

	"go.uber.org/zap"
)

// maxNamed is how many entries the log names; the audit log has them all.
const maxNamed = 100

// reportLists logs at the start what an operator must hear of the block and allow lists.
func (s *Sidecar) reportLists() {
	if _, err := s.audit.Lists(); err != nil {
		s.cfg.Logger.Error("admission refuses everything: there are no block and allow lists to decide by", zap.Error(err))
		return
	}
	offered := s.audit.Offered()
	if len(offered) == 0 {
		return
	}
	names := make([]string, 0, len(offered))
	for _, e := range offered[:min(len(offered), maxNamed)] {
		names = append(names, e.List+" "+e.TargetType+"/"+e.TargetName)
	}
	s.cfg.Logger.Warn("the original gateway's lists have entries that the lists here lack; list import takes them over",
		zap.Int("entries", len(offered)), zap.Strings("first", names))
}

// reportImport logs what was taken over from the original gateway. All of it is on record, too.
func (s *Sidecar) reportImport(done audit.Imported) {
	s.cfg.Logger.Info("the lists of the original gateway were taken over", zap.String("from", done.Source),
		zap.Int("blocked", done.Blocked), zap.Int("allowed", done.Allowed), zap.Int("kept", done.Kept), zap.Int("left_out", len(done.LeftOut)))
	for _, left := range done.LeftOut[:min(len(done.LeftOut), maxNamed)] {
		level := zap.WarnLevel
		if left.List == audit.ListBlock {
			level = zap.ErrorLevel
		}
		s.cfg.Logger.Log(level, "an entry of the original gateway was not taken over",
			zap.String("list", left.List), zap.String("target", left.Target), zap.String("why", left.Why))
	}
}
