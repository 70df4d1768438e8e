package sidecar

import (
	"time"

	"defenseclaw/api"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"
	"defenseclaw/watcher"
)

// off stands for the mode and the state of a watch that does not exist.
const off = "off"

// A moment is what the status and the metrics report of engine and watcher, read once.
type moment struct {
	state      string // as GET /policy/status names it
	since      time.Time
	generation uint64 // 0 when none serves
	watching   bool
	watch      watcher.Health // off when there is no watcher
}

func (s *Sidecar) moment() moment {
	m := moment{state: string(engine.StateEmpty), watch: watcher.Health{Mode: off, State: off}}
	if s.engine != nil {
		status := s.engine.Status()
		m.state, m.since = api.StateName(status, s.cfg.Settings.Place()), status.Since
		m.generation = s.generation()
	}
	if s.watcher != nil {
		m.watching, m.watch = true, s.watcher.Health()
	}
	return m
}

// watchHealth is the watch in GET /policy/status.
func (s *Sidecar) watchHealth() api.Watch {
	m := s.moment()
	if !m.watching {
		return api.Watch{State: off}
	}
	return api.Watch{
		Enabled: true, Mode: string(m.watch.Mode), State: string(m.watch.State), Reason: m.watch.Reason,
		Directories: m.watch.Directories, Events: m.watch.Events, EventsDropped: m.watch.Dropped,
		LastScan: api.OptionalTime(m.watch.LastScan), NextPoll: api.OptionalTime(m.watch.NextPoll),
	}
}

// snapshot is what the metrics show of states.
func (s *Sidecar) snapshot() metrics.Snapshot {
	m, records := s.moment(), s.audit.Health()
	now := metrics.Snapshot{
		State: m.state, Since: m.since, Generation: m.generation,
		Watch: metrics.Watch{
			Mode: string(m.watch.Mode), State: string(m.watch.State), Directories: m.watch.Directories,
			Events: m.watch.Events, Dropped: m.watch.Dropped, LastScan: m.watch.LastScan,
		},
		Audit: metrics.Audit{Written: records.Written, Lost: records.Lost, Backlog: records.Backlog, Alarms: records.Alarms, Early: records.Early},
	}
	now.Source = s.sourceMetrics()
	now.Workers, now.Recorder = s.workerHealth(), s.recorderHealth()
	now.Fleet = s.fleetHealth()
	if s.control != nil {
		ordered := s.control.Status()
		now.Control, now.Expired = string(ordered.Mode()), s.control.Expired()
		if ordered.Confirming != nil {
			now.Deadline = ordered.Confirming.Deadline
		}
	}
	config := s.live.status.Load()
	now.Settings = metrics.Settings{
		Applied: config.Applied, Refused: config.Refused, Broken: config.State == api.SettingsRefused, Waiting: len(config.AfterRestart),
	}
	if s.engine != nil {
		now.Programs = metrics.Programs(s.engine.ProgramCounts())
	}
	now.Connections.Open, now.Connections.Rejected = s.connections.Health()
	if s.decisions != nil {
		decisions := s.decisions.Health()
		now.Decisions.Written, now.Decisions.Dropped = decisions.Written, decisions.Dropped
	}
	return now
}

// partStates are of the parts that only the sidecar knows.
func (s *Sidecar) partStates() api.Parts {
	p := api.Parts{Workers: s.workersStatus(), Certificate: s.certificates.status()}
	if s.envoyListener != nil {
		p.ExtAuthz = &api.ExtAuthzStatus{Address: s.EnvoyAddr()}
	}
	return p
}

// lastGood is what is kept for the next start; nil when nothing is.
func (s *Sidecar) lastGood() *api.LastGood {
	if s.keeper == nil {
		return nil
	}
	h := s.keeper.Health()
	kept := &api.LastGood{
		File: h.Entry.Name, Generation: h.Generation, Seq: h.Seq, SavedAt: api.OptionalTime(h.SavedAt), Pending: h.Pending,
	}
	if h.Err != nil {
		kept.Error = h.Err.Error()
	}
	return kept
}

// past is what served before; nil without a policy directory.
func (s *Sidecar) past() *api.Past {
	if s.history == nil {
		return nil
	}
	return &api.Past{Store: s.history, Noted: s.keeper.Noted}
}

// generation is the number of the generation that serves, 0 when none does.
func (s *Sidecar) generation() uint64 {
	if s.engine == nil {
		return 0
	}
	if g := s.engine.Current(); g != nil {
		return g.Number()
	}
	return 0
}
