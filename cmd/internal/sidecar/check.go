package sidecar

import (
	"errors"
	"fmt"
	"net"

	"defenseclaw/api/gate"
	"defenseclaw/api/judge"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/signed"
	"defenseclaw/cmd/internal/tokens"
	"defenseclaw/engine/history"

	"go.uber.org/zap"
)

// Check returns what would end a start with these settings, as far as it can be told without one: it reads the files that
// the settings name, and neither listens nor writes. The error joins all problems.
func Check(set settings.Settings) error {
	_, signedErr := signed.New(set)
	_, tlsErr := newCertificates(set.TLSCert, set.TLSKey, set.ClientCA, zap.NewNop())
	return errors.Join(signedErr, checkPolicy(set), tlsErr, checkJudge(set.Judge), checkAccess(set))
}

func checkPolicy(set settings.Settings) error {
	s := &Sidecar{cfg: Config{Settings: set, Logger: zap.NewNop()}}
	if place := set.Place(); place != "" && !set.ValidateOnly {
		store, err := history.New(history.Config{Dir: set.HistoryDir(place), Keep: set.HistoryKeep, MaxTotalBytes: set.HistoryBytes})
		if err != nil {
			return err
		}
		s.history = store
	}
	return s.checkPolicyDir()
}

func checkJudge(set settings.Judge) error {
	cfg := judgeConfig(set)
	if cfg.BaseURL == "" {
		return nil
	}
	cfg.Generation = func() uint64 { return 0 }
	if _, err := judge.New(cfg); err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	return nil
}

// checkAccess is about who may call, and over which way.
func checkAccess(set settings.Settings) error {
	named, _, err := tokens.Store{DataDir: set.DataDir}.List()
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	token, explicit, err := set.Token()
	wrong := []error{}
	switch {
	case err == nil:
		wrong = append(wrong, takesToken(set, token, func(d gate.Digest) (gate.Token, bool) { return namedBy(named, d) }))
	case !errors.Is(err, settings.ErrNoToken):
		wrong = append(wrong, err)
	}
	byHand, private := explicit || len(named) > 0, set.TLSCert != "" || set.Insecure
	if set.APISocket == "" && !isLocal(set.APIBind) {
		wrong = append(wrong, exposed(set.APIBind, "the API", byHand, private))
	}
	if addr := set.ExtAuthz.Addr; addr != "" {
		host, _, err := net.SplitHostPort(addr)
		switch {
		case set.ValidateOnly:
			wrong = append(wrong, errEnvoyValidates)
		case err == nil && !isLocal(host):
			wrong = append(wrong, exposed("--ext-authz-addr "+addr, "it", byHand, private))
		}
	}
	return errors.Join(wrong...)
}

func namedBy(entries []tokens.Entry, d gate.Digest) (gate.Token, bool) {
	for _, e := range entries {
		if e.SHA256 == fmt.Sprintf("%x", d[:]) {
			return gate.Token{Name: e.Name}, true
		}
	}
	return gate.Token{}, false
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
