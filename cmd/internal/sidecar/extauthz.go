package sidecar

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"defenseclaw/engine"
)

// ExtAuthz are the settings of Envoy's external authorization.
type ExtAuthz struct {
	Addr   string      // host:port or unix:PATH; empty: it is off
	Policy engine.Path // the document that decides
	DryRun bool
}

func resolveExtAuthz(r *resolver, configDir string) ExtAuthz {
	e := ExtAuthz{
		Addr:   parse(r, "ext-authz-addr", "HOST:PORT or unix:PATH", envoyAddress),
		Policy: parse(r, "ext-authz-path", "a path such as envoy/authz/allow", document),
		DryRun: parse(r, "ext-authz-dry-run", "true or false", strconv.ParseBool),
	}
	if path, ok := strings.CutPrefix(e.Addr, unixScheme); ok {
		if _, from := r.find("ext-authz-addr"); fromConfig(from) && !filepath.IsAbs(path) {
			e.Addr = unixScheme + filepath.Join(configDir, path)
		}
	}
	return e
}

// envoyAddress reads an address that may be left out.
func envoyAddress(v string) (string, error) {
	if path, ok := strings.CutPrefix(v, unixScheme); ok {
		if path == "" {
			return "", errors.New("the socket has no path")
		}
		return v, nil
	}
	if v == "" {
		return "", nil
	}
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return "", err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", err
	}
	return v, nil
}

// listenForEnvoy takes the address where Envoy asks, where it is to be answered.
func (s *Sidecar) listenForEnvoy() (err error) {
	addr := s.cfg.Settings.ExtAuthz.Addr
	path, unix := strings.CutPrefix(addr, unixScheme)
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
	if s.envoyListener != nil {
		s.envoy, err = s.server.ExtAuthz(s.cfg.Settings.ExtAuthz.Policy, s.cfg.Settings.ExtAuthz.DryRun)
	}
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
