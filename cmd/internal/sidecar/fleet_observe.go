package sidecar

import (
	"context"
	"slices"
	"strings"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/controller"
	"defenseclaw/cmd/internal/fleet/observe"
	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/cmd/internal/settings"

	"go.uber.org/zap"
)

// makeObserver makes what follows the channel for people who look, if the settings name one.
func (s *Sidecar) makeObserver() (err error) {
	set := s.cfg.Settings
	place := set.Observes()
	if place == "" {
		return nil
	}
	_, channel := settings.ChannelOf(place)
	s.observer, err = observe.New(observe.Config{
		Channel: channel, Keys: set.Source.Keys, Told: s.tellObserved,
		Link: fleet.Config{
			URL: place, Creds: set.Source.Observe.Creds, CA: set.Source.CA, Domain: set.Source.Domain, Name: "defenseclaw observer",
		},
	})
	return err
}

// tellObserved logs that the broker does not show the channel, or does again.
func (s *Sidecar) tellObserved(err error) {
	url := zap.String("url", s.cfg.Settings.Observes())
	if err != nil {
		s.cfg.Logger.Warn("the channel cannot be observed; decisions do not depend on it", url, zap.Error(err))
		return
	}
	s.cfg.Logger.Info("the channel is observed again", url)
}

// fleetFunc is nil where no channel is observed.
func (s *Sidecar) fleetFunc() func(context.Context, api.FleetQuery) (api.FleetAnswer, error) {
	if s.observer == nil {
		return nil
	}
	return s.fleet
}

// fleet is what GET /policy/fleet answers.
func (s *Sidecar) fleet(ctx context.Context, q api.FleetQuery) (api.FleetAnswer, error) {
	seen, hour, err := s.observer.Look(ctx)
	if err != nil {
		return api.FleetAnswer{}, err
	}
	_, channel := settings.ChannelOf(s.cfg.Settings.Observes())
	a := api.FleetAnswer{
		URL: s.cfg.Settings.Observes(), Channel: channel, Domain: s.cfg.Settings.Source.Domain, SeenAt: api.OptionalTime(seen.At),
		Problem: seen.Status.Problem, Converged: seen.Status.Converged, Agents: seen.Status.Agents, States: map[string]int{}, Refusals: []api.FleetRefusal{},
		Silent: namesOf(seen.Agents, func(j *fleet.Judged) bool { return j.Silent >= fleet.LostAfter }),
		Ahead:  someOf(seen.Status.Ahead), Flapping: someOf(seen.Status.Flapping), Unkept: someOf(seen.Status.Unkept),
		Invalid: seen.Status.Invalid, More: seen.More, Rollout: rolloutOf(seen), Hour: hourOf(hour),
	}
	if seen.Err != nil {
		a.Error = seen.Err.Error()
	}
	for state, n := range seen.Status.States {
		a.States[string(state)] = n
	}
	if o := seen.Status.Oldest; o != nil {
		a.Oldest = &api.FleetContact{Agent: o.Agent, Heard: o.Heard, SilentSeconds: o.Silent}
	}
	if r := seen.Status.Record; r != nil {
		a.Record = fleetRecord(r)
	}
	a.Serve, a.MoreServe = serveOf(seen.Status.Serve)
	for i, r := range seen.Status.Refusals {
		if i == mostOfFleet {
			a.MoreRefusals = len(seen.Status.Refusals) - i
			break
		}
		a.Refusals = append(a.Refusals, api.FleetRefusal{Code: string(r.Code), Error: r.Error, FleetNames: someOf(r.Agents)})
	}
	a.List, a.Matching, a.Next = agentsOf(seen.Agents, q)
	return a, nil
}

// Bounds of lists in the answer.
const (
	mostOfFleet = 20 // revisions, reasons
	fewNames    = 5
)

func someOf(names []string) api.FleetNames {
	return api.FleetNames{Agents: len(names), Names: append([]string{}, names[:min(fewNames, len(names))]...)}
}

// namesOf are some of the agents of which something is so.
func namesOf(all []fleet.Judged, is func(*fleet.Judged) bool) api.FleetNames {
	found := api.FleetNames{Names: []string{}}
	for i := range all {
		if !is(&all[i]) {
			continue
		}
		if found.Agents++; found.Agents <= fewNames {
			found.Names = append(found.Names, all[i].Agent.Agent)
		}
	}
	return found
}

func serveOf(all []fleet.Count) (some []api.FleetCount, more int) {
	some = []api.FleetCount{}
	for _, one := range all[:min(mostOfFleet, len(all))] {
		some = append(some, api.FleetCount(one))
	}
	return some, len(all) - len(some)
}

func fleetRecord(r *fleet.Record) *api.FleetRecord {
	cohort := rollout.Describe(r.Cohort)
	for _, also := range r.Cohort.Also {
		cohort += ", " + rollout.Describe(also)
	}
	return &api.FleetRecord{
		Epoch: r.Epoch, State: string(r.State), Target: r.Target.Revision, Base: r.Base.Revision, Files: r.Target.Files, Cohort: cohort, Time: r.Time,
		Expires: api.OptionalTime(r.Expires), By: r.By, Message: r.Message, Signers: append([]string{}, r.Signers...),
	}
}

// rolloutOf is nil where none runs and none was taken back.
func rolloutOf(seen *observe.Seen) *api.FleetRollout {
	m := seen.Rollout
	if m == nil {
		return nil
	}
	t := m.Tally
	r := &api.FleetRollout{
		Step: string(m.Step), Stage: m.Stage, Reason: m.Reason, Stages: []api.FleetStage{}, Gates: []api.FleetGate{}, Cohort: t.Cohort, Done: t.Done,
		Behind: someOf(t.Behind), Lost: someOf(t.Lost), LostBefore: someOf(t.LostBefore),
		Controller: m.Controller, ControllerSeen: api.OptionalTime(m.Seen), ControllerAway: m.Away,
	}
	if p := seen.Status.Record.Plan; p != nil {
		r.Running, r.Paused, r.Halted = p.Runs(), p.Paused, p.Halted
	}
	for _, one := range seen.Stages {
		r.Stages = append(r.Stages, api.FleetStage{
			Stage: one.Name, State: string(one.State), SoakSeconds: one.Soak.Seconds(), Since: api.OptionalTime(one.Since), Until: api.OptionalTime(one.Until),
		})
	}
	r.Gates = gatesOf(m)
	return r
}

func gatesOf(m *controller.Status) []api.FleetGate {
	gates := []api.FleetGate{}
	for _, g := range m.Gates {
		gates = append(gates, api.FleetGate{Gate: g.Name, State: string(g.State), Text: g.Text})
	}
	return gates
}

// agentsOf is the page that is asked for, of agents by name.
func agentsOf(all []fleet.Judged, q api.FleetQuery) (page []api.FleetAgent, matching int, next string) {
	page = []api.FleetAgent{}
	part := strings.ToLower(q.Q)
	for i := range all {
		j := &all[i]
		name := j.Agent.Agent
		if !strings.Contains(strings.ToLower(name), part) || !isIn(j, q.State) || !servesIt(j, q.Revision) {
			continue
		}
		matching++
		switch {
		case name <= q.After:
		case len(page) < q.Limit:
			page = append(page, fleetAgent(j))
		case next == "":
			next = page[len(page)-1].Agent
		}
	}
	return page, matching, next
}

// isIn reports whether an agent is in one of [api.FleetStates].
func isIn(j *fleet.Judged, state string) bool {
	switch state {
	case "":
		return true
	case "silent":
		return j.Silent >= fleet.LostAfter
	case "stale":
		return j.Stale.After > 0 && j.Silent.Seconds() > j.Stale.After
	default:
		return string(j.Standing) == state
	}
}

// servesIt reports whether an agent serves a revision, of which the beginning is enough.
func servesIt(j *fleet.Judged, revision string) bool {
	if revision == "none" {
		return j.Serves == ""
	}
	const prefix = "sha256:"
	return strings.HasPrefix(strings.TrimPrefix(j.Serves, prefix), strings.TrimPrefix(revision, prefix))
}

func fleetAgent(j *fleet.Judged) api.FleetAgent {
	a := api.FleetAgent{
		Agent: j.Agent.Agent, Labels: j.Labels, Standing: string(j.Standing), InCohort: j.InCohort, Epoch: j.Epoch, Serves: j.Serves, Wants: j.Wants,
		State: string(j.State), Code: string(j.Code), Error: j.Error, Kept: j.Kept, Version: j.Version, Since: j.Since, Heard: j.Heard,
		SilentSeconds: j.Silent.Seconds(), Flapping: j.Flapping,
		Decisions: j.Counters.Decisions, Errors: j.Counters.Errors, Denied: j.Counters.Denied, P99MS: j.Counters.P99,
	}
	if a.Labels == nil {
		a.Labels = map[string]string{}
	}
	return a
}

// mostRevisions of an hour are told apart.
const mostRevisions = 8

// hourOf has a column for each of the revisions that most agents served at some time.
func hourOf(minutes []observe.Minute) api.FleetHour {
	most := map[string]int{}
	for _, m := range minutes {
		for _, one := range m.Serve {
			most[one.Revision] = max(most[one.Revision], one.Agents)
		}
	}
	hour := api.FleetHour{Revisions: []string{}, Minutes: []api.FleetMinute{}}
	for _, one := range fleet.Counts(most)[:min(mostRevisions, len(most))] {
		hour.Revisions = append(hour.Revisions, one.Revision)
	}
	for _, m := range minutes {
		minute := api.FleetMinute{Until: m.Until, Known: m.Known, Agents: make([]int, len(hour.Revisions)), Others: m.Others, Silent: m.Silent}
		for _, one := range m.Serve {
			if i := slices.Index(hour.Revisions, one.Revision); i >= 0 {
				minute.Agents[i] = one.Agents
			} else {
				minute.Others += one.Agents
			}
		}
		hour.Minutes = append(hour.Minutes, minute)
	}
	return hour
}
