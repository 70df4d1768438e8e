package sidecar

import (
	"context"
	"errors"
	"strings"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/engine"
)

// listenForEnvoy takes the address where Envoy asks, where it is to be answered.
func (s *Sidecar) listenForEnvoy() (err error) {
	addr := s.cfg.Settings.ExtAuthz.Addr
	path, unix := strings.CutPrefix(addr, settings.UnixScheme)
	switch {
	case addr == "":
		return nil
	case s.cfg.Settings.ValidateOnly:
		return errors.New("--ext-authz-addr answers by decisions, and --validate-only makes none: leave one of them out")
	case unix:
		s.envoyListener, err = listenUnix(path)
	default:
		s.envoyListener, err = listenTCP(addr)
	}
	return err
}

// makeEnvoy makes what answers Envoy, where it is to be answered.
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

// EnvoyAddr is where Envoy is answered, as Addr puts it; empty where it is not.
func (s *Sidecar) EnvoyAddr() string {
	if s.envoyListener == nil {
		return ""
	}
	return address(s.envoyListener)
}

// tellEnvoy has the health that Envoy asks for follow what serves.
func (s *Sidecar) tellEnvoy(context.Context, engine.Report) error {
	s.envoy.TellHealth()
	return nil
}
