package sidecar

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/tokens"

	"go.uber.org/zap"
)

// findToken returns the token, and makes one if there is none. A token that was made protects the API
// only against callers on this machine, so other addresses need one that the operator chose.
func (s *Sidecar) findToken() (string, error) {
	token, explicit, err := s.cfg.Settings.Token()
	if err != nil && !errors.Is(err, settings.ErrNoToken) {
		return "", err
	}
	if !explicit && !onlyLocal(s.listener) {
		return "", fmt.Errorf("%s is not a loopback address: set %s before the API is opened to others",
			s.bindHost, settings.TokenVariable)
	}
	if !explicit && s.envoyListener != nil && !onlyLocal(s.envoyListener) {
		return "", fmt.Errorf("--ext-authz-addr %s is not a loopback address: set %s before it is opened to others",
			s.cfg.Settings.ExtAuthz.Addr, settings.TokenVariable)
	}
	if err != nil {
		return s.cfg.Settings.MakeToken()
	}
	return token, nil
}

// reportTokens logs that the file of tokens, or a line of it, cannot be read.
func (s *Sidecar) reportTokens(err error) {
	s.cfg.Logger.Error("tokens that cannot be read let nobody in", zap.Error(err))
}

// recordTokens records tokens that were added or removed while the sidecar runs.
func (s *Sidecar) recordTokens(added, removed []tokens.Entry) {
	for _, e := range removed {
		s.recordToken(audit.ActionTokenRemove, e)
	}
	for _, e := range added {
		s.recordToken(audit.ActionTokenAdd, e)
	}
}

func (s *Sidecar) recordToken(action string, e tokens.Entry) {
	details := map[string]any{"id": e.ID(), "scopes": e.Scopes}
	if !e.Expires.IsZero() {
		details["expires"] = e.Expires
	}
	s.record(context.Background(), audit.Record{
		Action: action, Target: e.Name, Message: "with " + strings.Join(e.Scopes, ", "), Details: audit.JSON(details),
	})
}
