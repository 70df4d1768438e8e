package consoleproof

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// channel is a broker with the channel prod, and light agents that follow it.
type channel struct {
	*fleettest.Channel

	t     *testing.T
	url   string
	file  string // of keys
	crowd *fleettest.Crowd
}

func openChannel(t *testing.T, agents int) *channel {
	t.Helper()
	if chromium() == "" {
		t.Skip("SKIPPED: the console is not driven: there is no Chromium on this machine")
	}
	broker := fleettest.StartBroker(t)
	nc := broker.Connect()
	c := &channel{t: t, url: broker.URL() + "/prod", file: filepath.Join(t.TempDir(), "keys")}
	c.Channel, _ = fleettest.NewChannel(t, nc, "prod")
	signer, line := fleettest.Key(t, "team", record.RoleRelease)
	c.Signers[0] = signer
	keys, err := record.ParseKeys([]byte(line))
	if err == nil {
		err = os.WriteFile(c.file, []byte(line), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.crowd = fleettest.NewCrowd(agents, "prod", keys)
	c.crowd.Run(t, broker.URL())
	return c
}

func (c *channel) publish(text string, change func(*record.Record)) *record.Record {
	c.t.Helper()
	set := delta.NewSet(maps.All(map[string][]byte{"p.rego": []byte("package p\n\nx := \"" + text + "\"\n")}))
	r, err := c.Publish(c.t.Context(), set, change)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// short is a revision as pages show it.
func short(revision string) string { return revision[len("sha256:"):][:12] }

// An operator looks on while agents move to a release, a rollout begins, and some agents refuse it; and finds who does.
func TestAnOperatorSeesAFleetMove(t *testing.T) {
	t.Parallel()
	c := openChannel(t, 5)
	s := start(t, map[string]string{"p.rego": "package p\n\nx := 1\n"}, "--source-keys", c.file, "--source-observe-url", c.url)
	p := s.signIn()
	said := p.complaints()
	p.click("nav a", "Fleet")
	p.see("h1", "Nothing has been published to this channel")

	// Nobody loads the page again.
	first := c.publish("one", func(r *record.Record) { r.By, r.Message = "ann@example.org", "the <b>first</b>" })
	p.see("h1", "All is well: 5 agents serve what the channel asks for")
	p.see("#fleet", short(first.Target.Revision))
	p.see("#fleet", "the <b>first</b>")
	p.see("#fleet-agents", "a4")

	plan, err := rollout.Parse("50%,100%", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	rollout.SetSalt(plan, "seen")
	var refusing int
	second := c.publish("two", func(r *record.Record) {
		if err := rollout.Begin(r, plan, false, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, one := range c.crowd.Agents {
			if r.Cohort.Holds(one.ID, nil) {
				one.Refuse.Store(&r.Target.Revision)
				refusing++
			}
		}
	})
	if refusing == 0 || refusing == 5 {
		t.Fatalf("%d of 5 agents are in the cohort", refusing)
	}
	p.see("h1", "The stage 50% of the rollout did not pass a gate")
	p.see(".stages .now", "50%")
	p.see(".stages .next", "100%")
	p.see("#fleet td", "it refuses this one")
	p.hold(fmt.Sprintf(`[...document.querySelectorAll("#fleet tr")].some(r => r.innerText.includes("it refuses this one") && r.cells[0].innerText == "%d")`, refusing))
	p.see("#fleet pre", "defenseclaw fleet abort --url "+c.url)

	// The address of what is chosen can be sent to a colleague.
	p.click("#fleet a", fmt.Sprintf("%d refused", refusing))
	p.hold(fmt.Sprintf(`location.search == "?state=refused" && document.querySelectorAll("#fleet-agents tbody tr").length == %d`, refusing))
	p.hold(`document.querySelector("#state").value == "refused"`)
	p.do(chromedp.SendKeys("#q", "nobody-is-called-this"), chromedp.SendKeys("#q", kb.Enter))
	p.see("#fleet-agents", "No agent is like this")

	// Back to what served, which all take.
	if _, err := c.Rest(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.click("#fleet-agents a", "Show all")
	p.see("h1", "All is well: 5 agents")
	p.hold(`!document.querySelector("#fleet").innerText.includes("` + short(second.Target.Revision) + `")`)
	p.hold(`(c => c && c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some(v => v))(document.querySelector("[data-plot] canvas"))`)
	p.hold(`document.documentElement.scrollWidth <= innerWidth`)
	said.none(t)
}

// While a field is filled in, the page goes on, and takes nothing away.
func TestNewsOfAFleetLeaveAFormAlone(t *testing.T) {
	t.Parallel()
	c := openChannel(t, 2)
	s := start(t, map[string]string{"p.rego": "package p\n\nx := 1\n"}, "--source-keys", c.file, "--source-observe-url", c.url)
	p := s.signIn()
	p.click("nav a", "Fleet")
	p.see("h1", "Nothing has been published")
	p.do(chromedp.Focus("#q"), chromedp.KeyEvent("a1"))
	c.publish("one", nil)
	p.see("h1", "All is well: 2 agents")
	p.hold(`document.activeElement.id == "q" && document.activeElement.value == "a1"`)
}
