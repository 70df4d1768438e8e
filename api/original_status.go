package api

import (
	"net/http"
	"os"
	"time"

	"defenseclaw/api/internal/decision"
)

// ClientState is the state of a part, with the original's names: starting, running, stopped, error or disabled.
type ClientState struct {
	State     string         `json:"state"`
	Since     time.Time      `json:"since"`
	LastError string         `json:"last_error,omitempty"`
	Details   map[string]any `json:"details,omitempty"`
}

// ClientHealth is the field health of the answer to GET /status. Parts of the original that there are none of here are disabled.
type ClientHealth struct {
	StartedAt             time.Time   `json:"started_at"`
	UptimeMS              int64       `json:"uptime_ms"`
	Gateway               ClientState `json:"gateway"`   // to the agent's gateway, which this sidecar does not connect to
	Watcher               ClientState `json:"watcher"`   // of the policy directory
	Config                ClientState `json:"config"`    // config.yaml
	API                   ClientState `json:"api"`       // this one
	Guardrail             ClientState `json:"guardrail"` // the policy
	Telemetry             ClientState `json:"telemetry"`
	AIDiscovery           ClientState `json:"ai_discovery"`
	ApplicationProtection ClientState `json:"application_protection"`
}

// ClientStatus is the body of GET /status.
type ClientStatus struct {
	Health     ClientHealth `json:"health"`
	Provenance struct {
		SchemaVersion int    `json:"schema_version"` // of the original's config.yaml; 0: this sidecar has none
		ContentHash   string `json:"content_hash"`   // of the policy: its revision
		Generation    uint64 `json:"generation"`
		BinaryVersion string `json:"binary_version"`
	} `json:"provenance"`
	Runtime struct {
		PID     int    `json:"pid"`
		DataDir string `json:"data_dir"`
	} `json:"runtime"`
	ConnectorMode  connectorMode   `json:"connector_mode"`
	ConnectorModes []connectorMode `json:"connector_modes"`
}

// connectorMode says that there is no connector to an agent.
type connectorMode struct {
	Connector          string   `json:"connector"`
	Mode               string   `json:"mode"`
	PolicyMode         string   `json:"policy_mode"`
	EnforcementSurface string   `json:"enforcement_surface"`
	Telemetry          []string `json:"telemetry"`
	ProxyIntercept     bool     `json:"proxy_intercept"`
}

// The states of [ClientState].
const (
	stateStarting = "starting"
	stateRunning  = "running"
	stateStopped  = "stopped"
	stateError    = "error"
	stateDisabled = "disabled"
)

// clientStatus is GET /status.
func (s *Server) clientStatus(w http.ResponseWriter, _ *http.Request) error {
	var answer ClientStatus
	answer.Health = s.clientHealth()
	answer.Provenance.BinaryVersion = s.cfg.Version
	if g := s.current(); g != nil {
		answer.Provenance.ContentHash, answer.Provenance.Generation = g.Revision(), g.Number()
	}
	answer.Runtime.PID, answer.Runtime.DataDir = os.Getpid(), s.cfg.DataDir
	answer.ConnectorMode = connectorMode{Mode: "unconfigured", Telemetry: []string{}}
	answer.ConnectorModes = []connectorMode{}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) clientHealth() ClientHealth {
	disabled := ClientState{State: stateDisabled, Since: s.started}
	h := ClientHealth{
		StartedAt: s.started, UptimeMS: time.Since(s.started).Milliseconds(),
		Gateway: disabled, Watcher: s.watcherState(), Config: disabled, API: ClientState{State: stateRunning, Since: s.started},
		Guardrail: disabled, Telemetry: disabled, AIDiscovery: disabled, ApplicationProtection: disabled,
	}
	if s.cfg.Settings != nil {
		if now := s.cfg.Settings(); now != nil {
			h.Config = ClientState{State: stateRunning, Since: now.Since, LastError: now.Error, Details: map[string]any{
				"path": now.File, "generation": now.Applied, "restart_required": now.AfterRestart,
			}}
			if now.State == SettingsRefused {
				h.Config.State = stateError
			}
		}
	}
	if s.cfg.Engine != nil {
		now := s.cfg.Engine.Status()
		name := StateName(now, s.cfg.PolicyDir)
		h.Guardrail = ClientState{State: stateRunning, Since: now.Since, Details: map[string]any{"policy": name}}
		switch {
		case now.Generation == nil && now.Refused == nil:
			h.Guardrail.State = stateStarting
		case now.Refused != nil: // an older policy serves, or none
			h.Guardrail.State, h.Guardrail.LastError = stateError, now.Refused.Error()
		}
	}
	return h
}

// watcherState is the watch of the policy directory.
func (s *Server) watcherState() ClientState {
	state := ClientState{State: stateDisabled, Since: s.started}
	if s.cfg.Watch == nil {
		return state
	}
	now := s.cfg.Watch()
	state.LastError = now.Reason
	switch now.State {
	case "watching":
		state.State = stateRunning
	case "starting":
		state.State = stateStarting
	case "stopped":
		state.State = stateStopped
	case "off":
		return state
	default:
		state.State = stateError
	}
	state.Details = map[string]any{"mode": now.Mode, "directories": now.Directories}
	return state
}
