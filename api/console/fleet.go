package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"defenseclaw/api"
)

// fleetPage is what the page Fleet shows.
type fleetPage struct {
	frame

	Level    level
	Headline string
	Own      *api.Source // this sidecar's own channel; nil: it follows none
	Observed bool        // Fleet is filled in
	Fleet    api.FleetAnswer

	Query api.FleetQuery
}

// fleet shows who follows the channel, and how its rollout goes.
func (c *Console) fleet(v *visit) error {
	query := v.r.URL.Query()
	p := fleetPage{frame: v.frame("Fleet"), Query: api.FleetQuery{Q: query.Get("q"), State: query.Get("state"), Revision: query.Get("revision"), After: query.Get("after")}}
	p.Plots = true
	ask := p.Query
	if part := query.Get("part"); part == "body" || part == "hour" {
		ask = api.FleetQuery{Limit: 1}
	}
	err := v.get("/policy/fleet", ask.Values(), &p.Fleet)
	off := &answerError{}
	switch {
	case err == nil:
		p.Observed = true
	case !errors.As(err, &off) || off.Status != http.StatusServiceUnavailable:
		return err
	}
	if query.Get("part") != "agents" {
		var status api.StatusAnswer
		if err := v.get("/policy/status", nil, &status); err != nil {
			return err
		}
		if status.Source != nil && status.Source.Channel != nil {
			p.Own = status.Source
		}
	}
	p.Level, p.Headline = p.headline()
	return v.show("fleet", &p)
}

// headline says in one line how it goes.
func (p *fleetPage) headline() (level, string) {
	switch {
	case p.Observed:
		return fleetHeadline(p.Fleet)
	case p.Own != nil:
		return ownHeadline(*p.Own.Channel)
	default:
		return well, "This sidecar follows no channel, and observes none."
	}
}

// ownHeadline is that of a sidecar that sees itself alone.
func ownHeadline(c api.SourceChannel) (level, string) {
	switch {
	case c.State == "refused":
		return wrong, "This sidecar refuses what its channel asks for. The last good policy serves."
	case !c.Connected:
		return look, "There is no connection to the broker. What serves goes on."
	case c.State == "waiting":
		return look, "This sidecar does not serve yet what its channel asks for."
	case c.State == "" || c.Error != "":
		return look, "The channel has not said anything that this sidecar could take."
	default:
		return well, "This sidecar serves what its channel asks for."
	}
}

// fleetHeadline is that of a channel.
func fleetHeadline(a api.FleetAnswer) (level, string) {
	asked := plural(a.Agents, "agent serves", "agents serve")
	switch r := a.Rollout; {
	case a.SeenAt == nil:
		return look, "The broker has not answered yet."
	case a.Error != "":
		return look, "The broker does not answer. What it said last is shown."
	case a.Record == nil && a.Problem == "the channel has no release":
		return look, "Nothing has been published to this channel."
	case a.Record == nil:
		return wrong, "What the channel says is not to be trusted."
	case a.Ahead.Agents > 0:
		return wrong, "The broker went back: agents have seen a newer record than it has. Publish again."
	case r != nil && r.Running:
		return runningHeadline(r)
	case r != nil && r.Halted != "":
		return wrong, "The rollout was taken back at " + r.Stage + "."
	case a.Agents == 0:
		return look, "No agent follows this channel yet."
	case a.Converged:
		return well, "All is well: " + asked + " what the channel asks for."
	case a.States["refused"] > 0:
		return wrong, fmt.Sprintf("%s what the channel asks for. They serve what they did before.", plural(a.States["refused"], "agent refuses", "agents refuse"))
	case a.States["behind"]+a.States["waiting"] > 0:
		return look, fmt.Sprintf("%d of %s what the channel asks for; the others are still to answer.", a.States["serves"]+a.States["ready"], plural(a.Agents, "agent serves", "agents serve"))
	default:
		return look, fmt.Sprintf("%s not heard of, and it is not known what they serve.", plural(a.States["lost"], "agent was", "agents were"))
	}
}

func runningHeadline(r *api.FleetRollout) (level, string) {
	switch {
	case r.Step == "take back":
		return wrong, "The stage " + r.Stage + " of the rollout did not pass a gate."
	case r.Step == "paused":
		return look, "The rollout is paused at " + r.Stage + "."
	case r.Step == "inconclusive":
		return look, "The stage " + r.Stage + " of the rollout is inconclusive: a person has to decide."
	case r.ControllerAway:
		return look, "A rollout is at " + r.Stage + ", and no controller moves it on."
	default:
		return well, "A rollout is at " + r.Stage + ", as it should."
	}
}

// Every is how often the page asks for news, as htmx has it.
func (p *fleetPage) Every() string {
	if p.Observed && (!p.Fleet.Converged || p.Fleet.Rollout != nil && p.Fleet.Rollout.Running) {
		return "every 5s"
	}
	return "every 10s"
}

// Moment is when what the page tells was so.
func (p *fleetPage) Moment() time.Time {
	if at := p.Fleet.SeenAt; at != nil {
		return *at
	}
	return time.Now()
}

// Lasting is a time in seconds, for people.
func (p *fleetPage) Lasting(seconds float64) string {
	text := time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
	for _, nothing := range []string{"0s", "0m"} { // 2m0s, 1h0m
		if short, ok := strings.CutSuffix(text, nothing); ok && strings.HasSuffix(short, map[string]string{"0s": "m", "0m": "h"}[nothing]) {
			text = short
		}
	}
	return text
}

// Said is what an agent gave as its reason, or "".
func (p *fleetPage) Said(a api.FleetAgent) string {
	if a.Code == "" {
		return a.Error
	}
	return a.Code + ": " + a.Error
}

// Role is what the record has to do with a revision, or "".
func (p *fleetPage) Role(revision string) string {
	switch r := p.Fleet.Record; {
	case r == nil || revision == "":
		return ""
	case revision == r.Target && r.Cohort == "100%":
		return "asked of all"
	case revision == r.Target:
		return "asked of " + cmp.Or(r.Cohort, "nobody")
	case revision == r.Base:
		return "asked of the others"
	default:
		return ""
	}
}

// States are those that agents can be filtered by.
func (p *fleetPage) States() []string { return api.FleetStates() }

// agentLevel is how well an agent is.
func (p *fleetPage) AgentLevel(a api.FleetAgent) level {
	switch a.Standing {
	case "serves", "ready":
		return well
	case "refused", "ahead":
		return wrong
	default:
		return look
	}
}

// plotLines bounds the revisions that a plot tells apart.
const plotLines = 3

// fleetPlot is the table of what agents served, which a script draws.
type fleetPlot struct {
	Heads []string
	Rows  []fleetPlotRow
}

// fleetPlotRow is a minute. A value that is not known is empty.
type fleetPlotRow struct {
	At     time.Time
	Values []string
}

// Plot has a column for the revisions that most agents served, one for all others, and one for agents that are silent, where there were any.
func (p *fleetPage) Plot() fleetPlot {
	hour := p.Fleet.Hour
	lines := min(plotLines, len(hour.Revisions))
	others, silent := false, false
	rest := func(m api.FleetMinute) int {
		n := m.Others
		for _, one := range m.Agents[min(lines, len(m.Agents)):] {
			n += one
		}
		return n
	}
	for _, m := range hour.Minutes {
		others, silent = others || rest(m) > 0, silent || m.Silent > 0
	}
	plot := fleetPlot{}
	for _, revision := range hour.Revisions[:lines] {
		plot.Heads = append(plot.Heads, cmp.Or(short(revision), "nothing"))
	}
	if others {
		plot.Heads = append(plot.Heads, "others")
	}
	if silent {
		plot.Heads = append(plot.Heads, "silent")
	}
	for _, m := range hour.Minutes {
		row := fleetPlotRow{At: m.Until, Values: make([]string, 0, len(plot.Heads))}
		if moment := p.Moment(); row.At.After(moment) {
			row.At = moment
		}
		numbers := append([]int{}, m.Agents[:min(lines, len(m.Agents))]...)
		if others {
			numbers = append(numbers, rest(m))
		}
		if silent {
			numbers = append(numbers, m.Silent)
		}
		for _, n := range numbers {
			text := ""
			if m.Known {
				text = strconv.Itoa(n)
			}
			row.Values = append(row.Values, text)
		}
		plot.Rows = append(plot.Rows, row)
	}
	return plot
}
