package console_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
)

// fleetAt is a channel that three agents follow, all of which serve what it asks for.
func fleetAt(now time.Time) api.FleetAnswer {
	none := api.FleetNames{Names: []string{}}
	a := api.FleetAnswer{
		URL: "nats://b1,b2/prod", Channel: "prod", SeenAt: &now, Converged: true, Agents: 3, States: map[string]int{"serves": 3},
		Record: &api.FleetRecord{Epoch: 7, State: "active", Target: "sha256:0202020202020202", Base: "sha256:0101010101010101", Files: 2, Cohort: "100%", Time: now, By: "ann", Signers: []string{"team (release)"}},
		Serve:  []api.FleetCount{{Revision: "sha256:0202020202020202", Agents: 3}}, Refusals: []api.FleetRefusal{},
		Silent: none, Ahead: none, Flapping: none, Unkept: none,
		Hour: api.FleetHour{Revisions: []string{}, Minutes: []api.FleetMinute{}}, List: []api.FleetAgent{}, Matching: 3,
	}
	for i := range 3 {
		a.List = append(a.List, api.FleetAgent{
			Agent: fmt.Sprintf("a%d", i), Labels: map[string]string{}, Standing: "serves", Serves: "sha256:0202020202020202", Wants: "sha256:0202020202020202", State: "applied", Kept: true, Heard: now,
		})
	}
	return a
}

// showing opens a console on a fleet, whose answer change alters.
func showing(t *testing.T, change func(*api.FleetAnswer)) *browser {
	t.Helper()
	return open(t, sound, func(c *api.Config) {
		c.Fleet = func(_ context.Context, q api.FleetQuery) (api.FleetAnswer, error) {
			a := fleetAt(time.Now())
			if change != nil {
				change(&a)
			}
			if q.Q != "" {
				a.List, a.Matching = a.List[:1], 1
			}
			return a, nil
		}
	}).signedIn()
}

func rolling(step, halted string) func(*api.FleetAnswer) {
	return func(a *api.FleetAnswer) {
		none := api.FleetNames{Names: []string{}}
		since := time.Now()
		a.Converged = false
		a.Rollout = &api.FleetRollout{
			Running: halted == "", Halted: halted, Step: step, Stage: "10%", Reason: "because", Paused: step == "paused", Behind: none, Lost: none, LostBefore: none, Cohort: 1,
			Stages: []api.FleetStage{{Stage: "10%", State: "now", SoakSeconds: 120, Since: &since, Until: &since}, {Stage: "100%", State: "next", SoakSeconds: 120}},
			Gates:  []api.FleetGate{{Gate: "decisions", State: "open", Text: "the cohort made 12 decisions, 200 are needed"}}, Controller: "mover", ControllerSeen: &since,
		}
	}
}

func TestTheHeadlineOfAFleet(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*api.FleetAnswer){
		"well All is well: 3 agents serve what the channel asks for.":                             nil,
		"look The broker has not answered yet.":                                                   func(a *api.FleetAnswer) { a.SeenAt = nil; a.Error = "late" },
		"look The broker does not answer. What it said last is shown.":                            func(a *api.FleetAnswer) { a.Error = "no broker answers" },
		"look Nothing has been published to this channel.":                                        func(a *api.FleetAnswer) { a.Record, a.Problem = nil, "the channel has no release" },
		"wrong What the channel says is not to be trusted.":                                       func(a *api.FleetAnswer) { a.Record, a.Problem = nil, "the record is not trusted: x" },
		"wrong The broker went back: agents have seen a newer record than it has. Publish again.": func(a *api.FleetAnswer) { a.Ahead.Agents = 1 },
		"well A rollout is at 10%, as it should.":                                                 rolling("wait", ""),
		"look The rollout is paused at 10%.":                                                      rolling("paused", ""),
		"look The stage 10% of the rollout is inconclusive: a person has to decide.":              rolling("inconclusive", ""),
		"wrong The stage 10% of the rollout did not pass a gate.":                                 rolling("take back", ""),
		"look A rollout is at 10%, and no controller moves it on.":                                func(a *api.FleetAnswer) { rolling("wait", "")(a); a.Rollout.ControllerAway = true },
		"wrong The rollout was taken back at 10%.":                                                rolling("nothing", "at 10%: aborted by ann: it hurts"),
		"look No agent follows this channel yet.":                                                 func(a *api.FleetAnswer) { a.Agents, a.Converged, a.States = 0, false, map[string]int{} },
		"wrong 2 agents refuse what the channel asks for. They serve what they did before.": func(a *api.FleetAnswer) {
			a.Converged, a.States = false, map[string]int{"serves": 1, "refused": 2}
		},
		"look 1 of 3 agents serve what the channel asks for; the others are still to answer.": func(a *api.FleetAnswer) {
			a.Converged, a.States = false, map[string]int{"serves": 1, "behind": 2}
		},
		"look 1 agent was not heard of, and it is not known what they serve.": func(a *api.FleetAnswer) {
			a.Converged, a.States = false, map[string]int{"serves": 2, "lost": 1}
		},
	} {
		level, text, _ := strings.Cut(want, " ")
		status, page := showing(t, change).get("/console/fleet")
		if status != http.StatusOK || !strings.Contains(page, `<h1 class="headline"><span class="level `+level+`">`) || !strings.Contains(html.UnescapeString(page), "</span> "+text+"</h1>") {
			t.Errorf("%s: %d\n%.3000s", want, status, page)
		}
		noMarkup(t, page)
	}
}

// What agents, publishers and controllers say is text, wherever it stands.
func TestAFleetIsShownAsText(t *testing.T) {
	t.Parallel()
	for _, bad := range hurtful {
		b := showing(t, func(a *api.FleetAnswer) {
			rolling("wait", "")(a)
			names := api.FleetNames{Agents: 9, Names: []string{bad, bad}}
			a.URL, a.Channel, a.Domain, a.Error, a.Problem = "nats://"+bad+"/prod", bad, bad, bad, bad
			a.Record.By, a.Record.Message, a.Record.Signers, a.Record.Cohort, a.Record.Target = bad, bad, []string{bad}, bad, bad
			a.States[bad] = 1
			a.Serve = []api.FleetCount{{Revision: bad, Agents: 1}, {Revision: "", Agents: 1}}
			a.Refusals = []api.FleetRefusal{{Code: bad, Error: bad, FleetNames: names}}
			a.Silent, a.Ahead, a.Flapping, a.Unkept = names, names, names, names
			r := a.Rollout
			r.Reason, r.Step, r.Controller, r.Behind, r.Lost, r.LostBefore = bad, bad, bad, names, names, names
			r.Stages[0].Stage, r.Stages[0].State, r.Gates[0] = bad, bad, api.FleetGate{Gate: bad, State: bad, Text: bad}
			a.Hour = api.FleetHour{Revisions: []string{bad}, Minutes: []api.FleetMinute{{Until: time.Now(), Known: true, Agents: []int{1}}}}
			one := &a.List[0]
			one.Agent, one.Labels, one.Standing, one.Serves, one.Wants, one.Code, one.Error, one.Version = bad, map[string]string{bad: bad}, bad, bad, bad, bad, bad, bad
			a.Next = bad
		})
		status, page := b.get("/console/fleet?" + url.Values{"q": {bad}, "revision": {bad}, "after": {bad}}.Encode())
		noMarkup(t, page)
		if text := html.UnescapeString(page); status != http.StatusOK || strings.Count(text, bad) < 30 {
			t.Errorf("%s: %d, %d times\n%s", bad, status, strings.Count(text, bad), page)
		}
		if strings.Contains(page, "nats://"+bad+"/prod") && html.EscapeString(bad) != bad {
			t.Errorf("%s is not escaped", bad)
		}
	}
}

func TestOrdersAreCommandsToCopy(t *testing.T) {
	t.Parallel()
	const rest = " --creds CREDS --key KEY --source-keys KEYS"
	for name, try := range map[string]struct {
		change    func(*api.FleetAnswer)
		has, lack []string
	}{
		"nothing runs": {nil, []string{"defenseclaw fleet rollback --url nats://b1,b2/prod" + rest + " --message WHY"}, []string{"fleet promote", "fleet abort"}},
		"one runs": {rolling("wait", ""), []string{
			"defenseclaw fleet promote --url nats://b1,b2/prod" + rest, "defenseclaw fleet pause --url nats://b1,b2/prod" + rest, "defenseclaw fleet abort --url nats://b1,b2/prod" + rest,
		}, []string{"fleet rollback", "fleet resume"}},
		"one is paused":    {rolling("paused", ""), []string{"fleet resume"}, []string{"fleet pause"}},
		"no record":        {func(a *api.FleetAnswer) { a.Record = nil }, nil, []string{"--key KEY"}},
		"words of a shell": {func(a *api.FleetAnswer) { a.URL, a.Domain = "nats://b1;rm -rf '/'", "hub" }, []string{`--url 'nats://b1;rm -rf '\''/'\''' --domain hub`}, nil},
	} {
		_, page := showing(t, try.change).get("/console/fleet")
		page = html.UnescapeString(page)
		for _, text := range try.has {
			if !strings.Contains(page, text) {
				t.Errorf("%s: there is no %s", name, text)
			}
		}
		for _, text := range try.lack {
			if strings.Contains(page, text) {
				t.Errorf("%s: there is %s", name, text)
			}
		}
	}
}

func TestAgentsArePagedAndFiltered(t *testing.T) {
	t.Parallel()
	b := showing(t, func(a *api.FleetAnswer) { a.Next, a.States["refused"] = "a2", 1 })
	_, page := b.get("/console/fleet?q=a&state=serves&revision=0202")
	page = html.UnescapeString(page)
	for _, text := range []string{
		`href="/console/fleet?after=a2&q=a&revision=0202&state=serves">Next agents`, `href="/console/fleet">Show all</a>`, `href="/console/fleet?state=refused">1 refused</a>`,
		`href="/console/fleet?revision=sha256%3A0202020202020202"><code`, `value="0202"`, `<option selected>serves</option>`, `hx-get="/console/fleet?part=agents&q=a&revision=0202&state=serves"`,
	} {
		if !strings.Contains(page, text) {
			t.Errorf("there is no %s\n%s", text, page)
		}
	}
	part := func(name string) string {
		t.Helper()
		status, text, _ := b.do(http.MethodGet, "/console/fleet?part="+name, nil, func(r *http.Request) { r.Header.Set("Hx-Request", "true") })
		if status != http.StatusOK || strings.Contains(text, "<html") {
			t.Fatalf("%s: %d %s", name, status, text)
		}
		return text
	}
	if text := part("agents"); !strings.HasPrefix(text, `<div id="fleet-agents"`) || !strings.Contains(text, "a1") || strings.Contains(text, "<h1") {
		t.Errorf("the agents: %s", text)
	}
	if text := part("body"); !strings.HasPrefix(text, `<div id="fleet"`) || !strings.Contains(text, "<h1") || strings.Contains(text, "<form") {
		t.Errorf("the body: %s", text)
	}
	if text := part("hour"); !strings.Contains(text, "<h2") || strings.Contains(text, "<h1") {
		t.Errorf("the hour: %s", text)
	}
	for _, query := range []string{"state=perhaps", "q=" + strings.Repeat("x", 300), "part=none&state=x"} {
		if status, page := b.get("/console/fleet?" + query); status != http.StatusBadRequest || !strings.Contains(page, "<h1>") {
			t.Errorf("%s: %d\n%s", query, status, page)
		}
	}
}

func TestWhatIsPlottedIsATable(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 27, 10, 1, 0, 0, time.UTC)
	b := showing(t, func(a *api.FleetAnswer) {
		at := begin.Add(2*time.Minute + 30*time.Second)
		a.SeenAt = &at
		a.Hour = api.FleetHour{Revisions: []string{"sha256:0101010101010101", "", "r3", "r4"}, Minutes: []api.FleetMinute{
			{Until: begin, Known: true, Agents: []int{3, 0, 1, 5}, Others: 2}, {Until: begin.Add(time.Minute), Agents: []int{0, 0, 0, 0}},
			{Until: begin.Add(3 * time.Minute), Known: true, Agents: []int{1, 2, 0, 0}},
		}}
	})
	_, page := b.get("/console/fleet")
	for _, text := range []string{
		`<th scope="col">Until</th><th scope="col">010101010101</th><th scope="col">nothing</th><th scope="col">r3</th><th scope="col">others</th></tr>`,
		`<time datetime="2026-11-27T10:01:00Z" data-clock>10:01</time></td><td>3</td><td>0</td><td>1</td><td>7</td></tr>`,
		`<time datetime="2026-11-27T10:02:00Z" data-clock>10:02</time></td><td></td><td></td><td></td><td></td></tr>`,
		`<time datetime="2026-11-27T10:03:30Z" data-clock>10:03</time></td><td>1</td><td>2</td><td>0</td><td>0</td></tr>`, // the minute lasts still
		`data-plot="`, "static/plot.js", "static/plot.css",
	} {
		if !strings.Contains(page, text) {
			t.Errorf("there is no %s\n%s", text, page)
		}
	}
	if strings.Contains(page, ">silent</th>") {
		t.Error("a column of agents that are silent, though none is")
	}
}

// A sidecar that sees itself alone says how it goes with its own channel, and how to see the others.
func TestASidecarThatSeesItselfAlone(t *testing.T) {
	t.Parallel()
	channel := api.SourceChannel{Agent: "web-1", Connected: true, State: "applied", Wanted: "sha256:0202020202020202", Serves: "sha256:0202020202020202", Labels: map[string]string{"ring": "canary"}}
	for want, change := range map[string]func(*api.SourceChannel){
		"well This sidecar serves what its channel asks for.":                                func(*api.SourceChannel) {},
		"wrong This sidecar refuses what its channel asks for. The last good policy serves.": func(c *api.SourceChannel) { c.State, c.Code, c.Error = "refused", "policy", hurtful[0] },
		"look There is no connection to the broker. What serves goes on.":                    func(c *api.SourceChannel) { c.Connected = false },
		"look This sidecar does not serve yet what its channel asks for.":                    func(c *api.SourceChannel) { c.State = "waiting" },
		"look The channel has not said anything that this sidecar could take.":               func(c *api.SourceChannel) { c.State = "" },
	} {
		one := channel
		change(&one)
		age := 7.0
		b := open(t, sound, func(c *api.Config) {
			c.SourceHealth = func() *api.Source {
				return &api.Source{URL: "nats://b1/prod", Bundles: map[string]api.SourceBundle{}, AgeSeconds: &age, Channel: &one}
			}
		}).signedIn()
		status, page := b.get("/console/fleet")
		noMarkup(t, page)
		level, text, _ := strings.Cut(want, " ")
		if status != http.StatusOK || !strings.Contains(page, `<span class="level `+level+`">`) || !strings.Contains(page, text+"</h1>") || !strings.Contains(page, "web-1") ||
			!strings.Contains(page, "asked 7s ago") || !strings.Contains(page, "--source-observe observer.nk") || strings.Contains(page, `id="fleet-agents"`) {
			t.Errorf("%s: %d\n%s", want, status, page)
		}
	}
	b := open(t, sound).signedIn()
	if status, page := b.get("/console/fleet"); status != http.StatusOK || !strings.Contains(page, "follows no channel, and observes none") ||
		!strings.Contains(page, "--source-observe-url nats://BROKER/CHANNEL") || !strings.Contains(page, `href="/console/fleet" aria-current="page"`) {
		t.Errorf("%d\n%s", status, page)
	}
}
