package sidecar

import (
	"defenseclaw/api"
	"defenseclaw/cmd/internal/settings"

	"go.uber.org/zap"
)

// chosen says how the policy directory was chosen. A directory that appears while the embedded pack serves is named, and
// not served: half of it may be there, and what it holds was never asked for. A restart is the operator's word that
// it is complete.
func (s *Sidecar) chosen() api.PolicyChoice {
	set := s.cfg.Settings
	choice := api.PolicyChoice{From: string(set.PolicyFrom), Why: set.PolicyWhy}
	if choice.From == "" { // the settings were not resolved, as in tests
		choice.From = string(settings.PolicySet)
		if set.Place() == "" {
			choice.From = string(settings.PolicyEmbedded)
		}
	}
	if dir := s.appeared(); dir != "" {
		choice.Why = "no policy directory was found at the start; " + dir + " holds Rego now: restart the sidecar to serve it"
	}
	return choice
}

// appeared is the directory that the next start will serve while this one serves the embedded pack for want of it.
func (s *Sidecar) appeared() string {
	set := s.cfg.Settings
	if set.PolicyFrom != settings.PolicyEmbedded || set.EmbeddedChosen() {
		return ""
	}
	dir, _, _ := set.FindPolicy()
	return dir
}

// warnOfAppeared logs what a reload of the embedded pack does not do.
func (s *Sidecar) warnOfAppeared() {
	if dir := s.appeared(); dir != "" {
		s.cfg.Logger.Warn("the embedded pack serves, and a policy directory has appeared: restart the sidecar to serve it", zap.String("policy_dir", dir))
	}
}
