package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"defenseclaw/api/audit"
	"defenseclaw/api/gate"
	"defenseclaw/cmd/internal/private"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/tokens"

	"go.uber.org/zap"
)

// findToken returns the default token, and makes one if there is none. byHand reports whether an operator set it, or
// made tokens.
//
// A token that the first start made protects the API only against callers on this machine, so other addresses need one by
// hand; and what is sent to them in plain text can be read on the way.
func (s *Sidecar) findToken() (token string, byHand bool, err error) {
	token, explicit, err := s.cfg.Settings.Token()
	if err != nil && !errors.Is(err, settings.ErrNoToken) {
		return "", false, err
	}
	byHand = explicit || s.tokens.Count() > 0
	for _, l := range []struct {
		net.Listener
		name, what string
	}{{s.listener, s.bindHost, "the API"}, {s.envoyListener, "--ext-authz-addr " + s.cfg.Settings.ExtAuthz.Addr, "it"}} {
		if l.Listener == nil || OnlyLocal(l.Listener) {
			continue
		}
		if err := exposed(l.name, l.what, byHand, s.certificates != nil || s.cfg.Settings.Insecure); err != nil {
			return "", false, err
		}
	}
	if err != nil {
		if name := s.cfg.Settings.TokenEnv; name != "" {
			s.cfg.Logger.Warn("gateway.token_env names a variable that is set neither in the environment nor in .env: a token is made", zap.String("variable", name))
		}
		token, err = s.cfg.Settings.MakeToken()
		return token, byHand, err
	}
	if err := takesToken(s.cfg.Settings, token, s.tokens.Find); err != nil {
		return "", false, err
	}
	if source := s.cfg.Settings.TokenSource(); private.ReadByOthers(source) {
		s.cfg.Logger.Warn("other users of this machine can read the token: run chmod 600", zap.String("file", source))
	}
	return token, byHand, nil
}

// exposed says what an address that others reach lacks.
func exposed(name, what string, byHand, private bool) error {
	switch {
	case !byHand:
		return fmt.Errorf("%s is not a loopback address: set %s before %s is opened to others", name, settings.TokenVariable, what)
	case !private:
		return fmt.Errorf("%s is not a loopback address, and without TLS the token can be read on the way: "+
			"set --tls-cert and --tls-key, or --insecure where the network is trusted", name)
	}
	return nil
}

// takesToken refuses a token that can be guessed, and one that has a name and fewer scopes.
func takesToken(set settings.Settings, token string, find func(gate.Digest) (gate.Token, bool)) error {
	if why := Weakness(token); why != "" {
		return fmt.Errorf("the token from %s is weak: %s. Set a random one, such as openssl rand -hex 32 prints, or none: "+
			"then the next start makes one", set.TokenSource(), why)
	}
	if named, ok := find(gate.DigestOf(token)); ok {
		return fmt.Errorf("the token from %s is the one named %s, and would get all scopes by that: set another", set.TokenSource(), named.Name)
	}
	return nil
}

// reportTokens logs that the file of tokens, or a line of it, cannot be read.
func (s *Sidecar) reportTokens(err error) {
	s.cfg.Logger.Error("tokens that cannot be read are refused", zap.Error(err))
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

// rateLimit is the number of requests a second for each remote address; -1: any. Where tokens were given out by hand, the callers
// are the operator's own, and many may share the address of a proxy.
func (s *Sidecar) rateLimit(set settings.Settings) int {
	if s.unlimited && !set.RateLimitChosen {
		return -1
	}
	return set.RateLimit
}
