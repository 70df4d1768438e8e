package console

import (
	"strings"

	"defenseclaw/api"
)

// address is this page's with the query changed, and perhaps a part of it.
func (p *fleetPage) address(q api.FleetQuery, part string) string {
	values := q.Values()
	if part != "" {
		values.Set("part", part)
	}
	if len(values) == 0 {
		return api.ConsolePrefix + "fleet"
	}
	return api.ConsolePrefix + "fleet?" + values.Encode()
}

// Part is the address of a part of this page.
func (p *fleetPage) Part(name string) string { return p.address(p.Query, name) }

// Everybody is the address of this page with the first agents of all.
func (p *fleetPage) Everybody() string { return p.address(api.FleetQuery{}, "") }

// InState is the address of the agents in a state.
func (p *fleetPage) InState(state string) string { return p.address(api.FleetQuery{State: state}, "") }

// Serving is the address of the agents that serve a revision; "": nothing.
func (p *fleetPage) Serving(revision string) string {
	if revision == "" {
		revision = "none"
	}
	return p.address(api.FleetQuery{Revision: revision}, "")
}

// NextPage is the address of the agents that follow.
func (p *fleetPage) NextPage() string {
	q := p.Query
	q.After = p.Fleet.Next
	return p.address(q, "")
}

// FirstPage is the address of the first agents of those that are chosen.
func (p *fleetPage) FirstPage() string {
	q := p.Query
	q.After = ""
	return p.address(q, "")
}

// orderLine is a command that gives an order, with what it does.
type orderLine struct{ Does, Command string }

// Commands are those that fit how it goes. The page does not give the orders: the keys that sign them are not the sidecar's.
func (p *fleetPage) Commands() []orderLine {
	a := p.Fleet
	command := func(name string) string {
		text := "defenseclaw fleet " + name + " --url " + shellWord(a.URL)
		if a.Domain != "" {
			text += " --domain " + shellWord(a.Domain)
		}
		return text + " --creds CREDS --key KEY --source-keys KEYS"
	}
	switch r := a.Rollout; {
	case a.Record == nil:
		return nil
	case r != nil && r.Running:
		pause := orderLine{"Keep it at this stage", command("pause")}
		if r.Paused {
			pause = orderLine{"End the pause", command("resume")}
		}
		return []orderLine{
			{"Go on to the next stage now", command("promote")}, pause,
			{"Take it back: all agents serve what they did before it", command("abort") + " --message WHY"},
		}
	default:
		return []orderLine{{"Have all agents serve the release before this one", command("rollback") + " --message WHY"}}
	}
}

// shellWord is a text as one word of a shell.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,@%+=", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
