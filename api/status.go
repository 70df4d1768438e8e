package api

import (
	"cmp"
	"net/http"
	"os"
	"path/filepath"

	"defenseclaw/api/domains"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
)

func (s *Server) current() *engine.Generation {
	if s.cfg.Engine == nil {
		return nil
	}
	return s.cfg.Engine.Current()
}

// serving is the generation to decide by. The error is [decision.ErrNoPolicy], [decision.ErrExpired] or
// [decision.ErrSourceStale].
func (s *Server) serving() (*engine.Generation, error) {
	g := s.current()
	switch {
	case g == nil:
		return nil, decision.ErrNoPolicy
	case s.cfg.Control != nil && s.cfg.Control.Expired():
		return nil, decision.ErrExpired
	case s.cfg.StaleSource.refuses():
		return nil, decision.ErrSourceStale
	}
	return g, nil
}

// ready is GET /health/ready: whether decisions are answered, and will be.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	if s.leaving.Load() {
		decision.WriteError(w, http.StatusServiceUnavailable, "the sidecar is shutting down")
		return nil
	}
	// Asks the status, not Engine.Current, which changes first: a caller that hears "ready" here must not
	// find "empty" in GET /policy/status.
	if s.cfg.Engine == nil || s.cfg.Engine.Status().Generation == nil {
		return decision.ErrNoPolicy
	}
	if _, err := s.serving(); err != nil {
		return err
	}
	if err := s.cfg.StaleSource.notReady(); err != nil {
		return err
	}
	if s.cfg.Unready != nil {
		if err := s.cfg.Unready(); err != nil {
			decision.WriteError(w, http.StatusServiceUnavailable, err.Error())
			return nil
		}
	}
	decision.WriteJSON(w, http.StatusOK, struct{}{})
	return nil
}

// workingDirectory is that of the process; empty where it cannot be told.
func workingDirectory() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	return dir
}

// proofPattern is the route of the challenge that a [Client] sends before it sends the token.
const proofPattern = "/health/proof"

// ProofAnswer is the body of GET /health/proof.
type ProofAnswer struct {
	Proof string `json:"proof"`
}

// prove is GET /health/proof; see [gate.Challenge].
func (s *Server) prove(w http.ResponseWriter, r *http.Request) error {
	proof, denial := s.gate.Prove(r)
	if denial != nil {
		s.deny(w, r, denial)
		return nil
	}
	decision.WriteJSON(w, http.StatusOK, ProofAnswer{proof})
	return nil
}

// metrics is GET /metrics.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	s.cfg.Metrics.Handler().ServeHTTP(w, r)
	return nil
}

// status is GET /policy/status.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) error {
	answer := StatusAnswer{PolicyDir: s.cfg.PolicyDir, RegoDir: s.cfg.PolicyDir, State: string(engine.StateEmpty)}
	choice := s.choice()
	answer.PolicyFrom, answer.PolicyWhy = choice.From, choice.Why
	answer.LastReload = LastReload{Changed: []string{}, Diagnostics: []Diagnostic{}}
	if s.cfg.Watch != nil {
		answer.Watch = s.cfg.Watch()
	} else {
		answer.Watch.State = "off"
	}
	answer.Process = Process{PID: os.Getpid(), Version: s.cfg.Version, StartedAt: s.started, Directory: s.directory}
	answer.Judge = "off"
	if j := s.judge.Load(); j != nil {
		answer.Judge = j.Model()
	}
	if s.cfg.Audit != nil {
		health := s.cfg.Audit.Health()
		answer.Audit = &health
	}
	if s.cfg.Settings != nil {
		answer.Settings = s.cfg.Settings()
	}
	if s.cfg.LastGood != nil {
		answer.LastGood = s.cfg.LastGood()
	}
	if s.cfg.Control != nil {
		answer.Control = ControlOf(s.cfg.Control.Status())
	}
	if s.cfg.Reviews != nil {
		if j := s.cfg.Reviews.Last(); j != nil {
			answer.Review = SummaryOf(j)
		}
		if s.cfg.Reviews.Tests != nil {
			answer.Tests = testsOf(s.cfg.Reviews.Tests())
		}
		if s.cfg.Reviews.Process != nil {
			process := s.cfg.Reviews.Process()
			answer.Reviewer = &process
		}
	}
	if s.cfg.SourceHealth != nil {
		answer.Source = s.cfg.SourceHealth()
	}
	if s.cfg.Recorder != nil {
		now := s.recordings()
		answer.Recordings = &now
	}
	answer.Parts = s.parts()
	if s.cfg.Engine != nil {
		s.describe(&answer, s.cfg.Engine.Status())
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// place names where policy comes from; empty: the embedded pack.
func (s *Server) place() string { return cmp.Or(s.cfg.SourceURL, s.cfg.PolicyDir) }

func (s *Server) choice() PolicyChoice {
	switch {
	case s.cfg.Chosen != nil:
		return s.cfg.Chosen()
	case s.place() == "":
		return PolicyChoice{From: "embedded"}
	default:
		return PolicyChoice{From: "set"}
	}
}

// StateName names what serves: the state of the engine or, while it serves the embedded pack because there is
// no policy directory, "embedded".
func StateName(now *engine.Status, place string) string {
	if place == "" && now.State == engine.StateCurrent {
		return "embedded"
	}
	return string(now.State)
}

func (s *Server) describe(answer *StatusAnswer, now *engine.Status) {
	answer.Findings = FindingsOf(now.Lost)
	answer.State, answer.StateSince = StateName(now, s.place()), now.Since
	if g := now.Generation; g != nil {
		answer.Generation, answer.Revision, answer.LoadedAt = g.Number(), g.Revision(), OptionalTime(g.LoadedAt())
		answer.Modules, answer.DataFiles = g.Counts()
		answer.Decided, answer.Signature = waysOf(g), SignatureOf(g.Verified())
		answer.Warnings = domains.Warnings(g, s.judge.Load() != nil, s.cfg.HILT())
		if unused := unusedIn(g); unused != "" {
			answer.Warnings = append(answer.Warnings, unused)
		}
		if s.cfg.PolicyDir != "" {
			answer.RegoDir = filepath.Join(s.cfg.PolicyDir, g.Root())
		}
	}
	last := now.Last
	answer.NotLoaded, answer.MoreOfThem = NotLoadedOf(last.Ignored), last.Ignored.More
	answer.LastReload = LastReload{
		Status: string(last.Result), Trigger: string(last.Trigger.Kind), StartedAt: OptionalTime(last.StartedAt),
		DurationMS: milliseconds(last.Duration), Changed: last.Changed(), Added: last.Edit().Added, Gone: last.Edit().Removed, Diagnostics: []Diagnostic{},
	}
	if answer.LastReload.Actor = last.Trigger.Actor; s.cfg.Actor != nil && !last.StartedAt.IsZero() {
		answer.LastReload.Actor = s.cfg.Actor(last)
	}
	if now.Refused != nil {
		answer.LastReload.Error, answer.LastReload.Stage = now.Refused.Error(), string(now.Refused.Stage)
		answer.LastReload.Diagnostics = Diagnostics(now.Refused.Diagnostics)
	}
}
