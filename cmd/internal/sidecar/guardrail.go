package sidecar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/engine"
)

// guardrail is what GET /v1/guardrail/config tells: the settings in force.
func (s *Sidecar) guardrail() api.GuardrailConfig { return guardrailOf(s.settings()) }

func guardrailOf(set settings.Settings) api.GuardrailConfig {
	return api.GuardrailConfig{
		Mode: set.Guardrail.Mode, ScannerMode: set.Guardrail.ScannerMode, BlockMessage: set.Guardrail.BlockMessage, Connector: set.Guardrail.Connector,
		HILTEnabled: set.HILT.Enabled, HILTMinSeverity: set.HILT.MinSeverity,
	}
}

// changeGuardrail writes a change to config.yaml and applies it before it returns. live is false where the settings
// say that changes wait for a restart; then now is what the file says.
func (s *Sidecar) changeGuardrail(ctx context.Context, change api.GuardrailChange) (now api.GuardrailConfig, live bool, err error) {
	if s.cfg.Snapshot == nil {
		return now, false, &api.GuardrailConflict{Message: "config.yaml is not read while this sidecar runs: restart it with a changed file"}
	}
	l := s.live
	l.mu.Lock() // the watch must not take the file before this does: the record is to name the caller
	defer l.mu.Unlock()
	watched := reread{trigger: string(engine.TriggerWatch), actor: s.configOwner(), patient: true}
	if err := s.rereadLocked(ctx, watched); err != nil { // what others changed is in force and on record first
		return now, false, &api.GuardrailConflict{Message: fmt.Sprintf("config.yaml is not changed, because it cannot be taken as it is: %s", err)}
	}
	edit, err := s.editGuardrail(change.Values)
	if err != nil {
		return now, false, err
	}
	if err := edit.Write(); errors.Is(err, settings.ErrNotEditable) {
		return now, false, &api.GuardrailConflict{Message: err.Error()}
	} else if err != nil {
		return now, false, err
	}
	asked := reread{trigger: string(engine.TriggerAPI), actor: change.Actor, requestID: change.RequestID, asked: true}
	if err := s.rereadLocked(ctx, asked); err != nil {
		return now, false, fmt.Errorf("config.yaml is changed, and cannot be taken: %w", err)
	}
	if slices.ContainsFunc(l.waiting, func(c settings.Change) bool { return change.Values[c.Key] != nil }) {
		return guardrailOf(l.seen.Settings), false, nil
	}
	return s.guardrail(), true, nil
}

// editGuardrail makes the text of config.yaml and refuses what would not be in force as the caller expects.
func (s *Sidecar) editGuardrail(values map[string]any) (*settings.ConfigEdit, error) {
	var keys []settings.ConfigKey
	for _, key := range slices.Sorted(maps.Keys(values)) {
		keys = append(keys, settings.ConfigKey{Key: key, Value: values[key]})
	}
	edit, err := s.live.seen.Edit(keys)
	if err != nil {
		return nil, &api.GuardrailConflict{Message: err.Error()}
	}
	_, _, waiting, err := edit.After.Over(s.live.now.Load())
	if err != nil {
		return nil, &api.GuardrailConflict{Message: err.Error()}
	}
	if edit.After.Settings.ConfigReload == settings.ReloadRestart {
		return edit, nil // the operator wants every change to wait
	}
	var restart []string
	for _, c := range waiting {
		if values[c.Key] != nil {
			restart = append(restart, c.Key)
		}
	}
	if len(restart) > 0 {
		return nil, &api.GuardrailConflict{
			Message: "config.yaml is not changed, because a part takes effect after a restart: change the file and restart the sidecar", RestartRequired: restart,
		}
	}
	return edit, nil
}
