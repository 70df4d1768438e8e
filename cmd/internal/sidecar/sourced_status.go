package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"

	"defenseclaw/api/bundlestatus"
	"defenseclaw/api/metrics"
)

// makeStatusSender makes what sends the status of bundles, if OPA's configuration asks for it.
func (s *Sidecar) makeStatusSender() error {
	config := s.cfg.Settings.Source.OPA
	if config == nil || config.Status == nil || s.cfg.Settings.ValidateOnly {
		return nil
	}
	set := config.Status
	cfg := bundlestatus.Config{Now: s.bundleStatus, Console: set.Console, Logger: s.cfg.Logger}
	if set.Service != "" {
		client, err := (&services{config}).client(set.Service)
		if err != nil {
			return fmt.Errorf("status: %w", err)
		}
		cfg.Post = func(ctx context.Context, message []byte) (*http.Response, error) {
			return client.WithHeader("Content-Type", "application/json").WithBytes(message).Do(ctx, http.MethodPost, set.StatusResource())
		}
	}
	if cfg.Post != nil || cfg.Console {
		s.statusSender = bundlestatus.New(cfg)
	}
	return nil
}

// allLabels are those of OPA's configuration, and what names this run.
func (s *Sidecar) allLabels() map[string]string {
	all := map[string]string{}
	maps.Copy(all, s.labels())
	all["id"], all["version"] = s.id, s.cfg.Version
	return all
}

// bundleStatus is how it goes with the bundles, in OPA's words.
func (s *Sidecar) bundleStatus() bundlestatus.Update {
	now := bundlestatus.Update{Labels: s.allLabels(), Plugins: map[string]bundlestatus.Plugin{"status": {State: bundlestatus.StateOK}}}
	if s.decisions != nil {
		now.Plugins["decision_logs"] = bundlestatus.Plugin{State: bundlestatus.StateOK}
	}
	o, ok := s.origin.(*bundleOrigin)
	if !ok {
		return now
	}
	now.Plugins["bundle"] = bundlestatus.Plugin{State: bundlestatus.StateOK}
	if s.bundlesMissing() {
		now.Plugins["bundle"] = bundlestatus.Plugin{State: bundlestatus.StateNotReady}
	}
	now.Bundles = map[string]bundlestatus.Bundle{}
	for name, h := range o.bundles.Health() {
		b := bundlestatus.Bundle{
			Name: name, Type: "snapshot", Size: h.Size, LastSuccessfulDownload: h.Times.Fetched, LastSuccessfulRequest: h.Times.Answered,
			LastRequest: h.Times.Requested,
		}
		o.active.describe(name, &b)
		if wrong := cmp.Or(h.Refused, h.Error); wrong != "" {
			b.Code, b.Message, b.Errors, b.HTTPCode = bundlestatus.ErrorCode, wrong, nil, h.Status
		}
		now.Bundles[name] = b
	}
	return now
}

// bundleStatusFunc is nil where there is nothing to tell.
func (s *Sidecar) bundleStatusFunc() func() bundlestatus.Update {
	if _, ok := s.origin.(*bundleOrigin); ok || s.statusSender != nil {
		return s.bundleStatus
	}
	return nil
}

// opaConfig is OPA's configuration with what is filled in, without credentials and keys.
func (s *Sidecar) opaConfig() map[string]any {
	shown := map[string]any{}
	if config := s.cfg.Settings.Source.OPA; config != nil {
		shown = config.Active()
	}
	labels := map[string]any{}
	for name, value := range s.allLabels() {
		labels[name] = value
	}
	shown["labels"] = labels
	for name, value := range map[string]string{"default_decision": "/system/main", "default_authorization_decision": "/system/authz/allow"} {
		if shown[name] == nil {
			shown[name] = value
		}
	}
	return shown
}

// bundleMetrics are for the metrics that OPA has, too; nil without bundles.
func (s *Sidecar) bundleMetrics() map[string]metrics.Bundle {
	o, ok := s.origin.(*bundleOrigin)
	if !ok {
		return nil
	}
	all := map[string]metrics.Bundle{}
	for name, h := range o.bundles.Health() {
		one := metrics.Bundle{Requested: h.Times.Requested, Answered: h.Times.Answered, Fetched: h.Times.Fetched}
		o.active.measure(name, &one)
		all[name] = one
	}
	return all
}
