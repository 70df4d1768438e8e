package api

import (
	"net/http"
	"os"
	"time"

	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
)

// ClientState is the state of a part, with the original's names: starting, running, stopped, error or disabled.
type ClientState struct {
	State     string         `json:"state"`
	Since     time.Time      `json:"since"`
	LastError string         `json:"last_error,omitempty"`
	Details   map[string]any `json:"details,omitempty"`
}

// ClientHealth is the body of GET /health, and the field health of the answer to GET /status. Parts of the original that
// there are none of here are disabled.
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
	// Provenance is in GET /health only, and there only for callers who may read the status.
	Provenance *ClientProvenance `json:"provenance,omitempty"`
}

// ClientProvenance says what serves.
type ClientProvenance struct {
	SchemaVersion int    `json:"schema_version"` // of the original's config.yaml; 0: this sidecar has none
	ContentHash   string `json:"content_hash"`   // of the policy: its revision
	Generation    uint64 `json:"generation"`
	BinaryVersion string `json:"binary_version"`
}

// ClientStatus is the body of GET /status.
type ClientStatus struct {
	Health     ClientHealth     `json:"health"`
	Provenance ClientProvenance `json:"provenance"`
	Runtime    struct {
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
	answer.Health, answer.Provenance = s.clientHealth(true), s.provenance()
	answer.Runtime.PID, answer.Runtime.DataDir = os.Getpid(), s.cfg.DataDir
	answer.ConnectorMode = connectorMode{Mode: "unconfigured", Telemetry: []string{}}
	answer.ConnectorModes = []connectorMode{}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// health is GET /health. Commands of the original ask it without a token for the state of each part, so callers who may not
// read the status get the states and their times, and nothing that tells an address, a path, an error or a version.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	detailed := s.mayReadStatus(r)
	answer := s.clientHealth(detailed)
	if detailed {
		provenance := s.provenance()
		answer.Provenance = &provenance
	}
	decision.WriteJSON(w, http.StatusOK, answer)
}

// mayReadStatus reports whether GET /status would answer the sender of a probe. Where the policy decides about callers
// it does not ask, and says no: whether the process lives must not depend on how long a policy takes.
func (s *Server) mayReadStatus(r *http.Request) bool {
	if gate.Anonymous(r) {
		return false
	}
	caller, denial := s.gate.Check(r, gate.Read)
	if denial != nil {
		if denial.Status == http.StatusUnauthorized { // guesses are on record, as on every route
			s.recordRefused(r, "", noToken)
		}
		return false
	}
	g := s.current()
	return caller.Scopes.Has(gate.ScopeRead) && (g == nil || !decidesCallers(g))
}

func (s *Server) provenance() ClientProvenance {
	p := ClientProvenance{BinaryVersion: s.cfg.Version}
	if g := s.current(); g != nil {
		p.ContentHash, p.Generation = g.Revision(), g.Number()
	}
	return p
}

// clientHealth returns the states, and with detailed also last errors and details. These are only for callers who may read
// the status, and are not even made for others: probes ask every second, and the error of a refused policy may be long.
func (s *Server) clientHealth(detailed bool) ClientHealth {
	disabled := ClientState{State: stateDisabled, Since: s.started}
	return ClientHealth{
		StartedAt: s.started, UptimeMS: time.Since(s.started).Milliseconds(),
		Gateway: disabled, Watcher: s.watcherState(detailed), Config: s.configState(detailed),
		API: ClientState{State: stateRunning, Since: s.started}, Guardrail: s.guardrailState(detailed),
		Telemetry: disabled, AIDiscovery: disabled, ApplicationProtection: disabled,
	}
}

// configState is config.yaml.
func (s *Server) configState(detailed bool) ClientState {
	state := ClientState{State: stateDisabled, Since: s.started}
	if s.cfg.Settings == nil {
		return state
	}
	now := s.cfg.Settings()
	if now == nil {
		return state
	}
	state.State, state.Since = stateRunning, now.Since
	if now.State == SettingsRefused {
		state.State = stateError
	}
	if detailed {
		state.LastError = now.Error
		state.Details = map[string]any{"path": now.File, "generation": now.Applied, "restart_required": now.AfterRestart}
	}
	return state
}

// guardrailState is the policy.
func (s *Server) guardrailState(detailed bool) ClientState {
	state := ClientState{State: stateDisabled, Since: s.started}
	if s.cfg.Engine == nil {
		return state
	}
	now := s.cfg.Engine.Status()
	state.State, state.Since = stateRunning, now.Since
	switch {
	case now.Generation == nil && now.Refused == nil:
		state.State = stateStarting
	case now.Refused != nil: // an older policy serves, or none
		state.State = stateError
	}
	if detailed {
		state.Details = map[string]any{"policy": StateName(now, s.place())}
		if now.Refused != nil {
			state.LastError = now.Refused.Error()
		}
	}
	return state
}

// watcherState is the watch of the policy directory.
func (s *Server) watcherState(detailed bool) ClientState {
	state := ClientState{State: stateDisabled, Since: s.started}
	if s.cfg.Watch == nil {
		return state
	}
	now := s.cfg.Watch()
	switch now.State {
	case "watching":
		state.State = stateRunning
	case "starting":
		state.State = stateStarting
	case "stopped":
		state.State = stateStopped
	case "off":
	default:
		state.State = stateError
	}
	if detailed {
		state.LastError = now.Reason
		if now.State != "off" {
			state.Details = map[string]any{"mode": now.Mode, "directories": now.Directories}
		}
	}
	return state
}
