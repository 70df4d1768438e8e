package consoleproof

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The reviewer approves from the Timeline what waits, reads before what that will do, and finds there how long each part took.
func TestOrdersAreGivenFromTheTimeline(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles, "--safety-mode", "hold", "--safety-hold", "always")
	p := s.signIn()
	s.write("p.rego", soundEdit)
	p.see("h1", "A change waits for an approval")
	p.click("nav a", "Timeline")
	p.see("tbody tr:nth-child(1)", "held")
	p.see("tbody tr:nth-child(1) .quiet", "compile ")
	p.see("tbody tr:nth-child(1) a.button", "Reject")
	held := ask[string](p, `JSON.stringify(document.querySelector("tbody tr:nth-child(1) code").title)`)
	p.hold(`document.querySelectorAll("tbody tr:nth-child(2) a.button").length === 0`)
	p.click("tbody tr:nth-child(1) a.button", "Approve")
	p.see("main p", "The change that waits serves from this moment on, as it was reviewed")
	p.click("button.main", "Approve")
	p.see("h1", "All is well")
	p.click("nav a", "Timeline")
	p.see("tbody tr:nth-child(1)", "approved")
	p.see("tbody tr:nth-child(1) .level", "serves")
	if now := ask[string](p, `JSON.stringify(document.querySelector("tbody tr:nth-child(1) code").title)`); now != held || now == "" {
		t.Errorf("%q waited, and %q serves", held, now)
	}
	p.click("tbody tr:nth-child(1) a.button", "Hold what serves")
	p.see("main p", "What serves now goes on serving")
	p.click("button.main", "Hold what serves")
	p.see("h1", "An order keeps the policy")
	p.click("nav a", "Timeline")
	p.click("tbody a.button", "Follow the files again")
	p.see("main p", "The files are read")
}

// A change on trial counts down on Now, and is confirmed there or from the Timeline.
func TestATrialCountsDown(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles, "--safety-confirm", "1h")
	p := s.signIn()
	s.write("p.rego", soundEdit)
	p.see("h1", "A change serves on trial")
	const left = `document.querySelector("[data-countdown]").innerText.match(/ \(in (59|60) min (\d+) s\)$/)`
	p.hold(left)
	p.evaluate(`window.first = ` + left + `[2]`)
	p.hold(left + `[2] !== first`)
	p.see(".choices", "Roll back now")
	p.click("nav a", "Timeline")
	p.see("tbody tr:nth-child(1) a.button", "Roll back now")
	p.click("tbody tr:nth-child(1) a.button", "Confirm")
	p.see("main p", "The change that serves on trial goes on serving")
	p.click("button.main", "Confirm")
	p.see("h1", "All is well")
}

// Two policies are compared: those from deny to allow first, each with its input, the rule that made the difference, and what fired
// and failed on both sides.
func TestFlipsAreShownWithTheirReasons(t *testing.T) {
	t.Parallel()
	const before = "package gate\n\ndefault allow := false\n\nallow if input.role == \"admin\"\n\nallow if input.size < 10\n"
	s := start(t, map[string]string{"gate.rego": before})
	s.recorded(3, [2]string{"gate/allow", `{"role":"clerk","size":15}`}, [2]string{"gate/allow", `{"role":"admin","size":99}`}, [2]string{"gate/allow", `{"role":"clerk","size":500}`})
	p := s.signIn()
	said := p.complaints()
	s.write("gate.rego", strings.NewReplacer("admin", "root", "10", "20").Replace(before))
	p.see(".generation", "2")
	p.click("nav a", "Timeline")
	p.see("tbody", "served")
	p.evaluate(`document.querySelectorAll("input[name=from]")[1].click(), document.querySelectorAll("input[name=to]")[0].click()`)
	p.click("button", "Compare")
	p.see("#evidence", "2 decisions flip")
	p.hold(`(all => all[0].innerText.includes("deny to allow") && all[1].innerText.includes("allow to deny"))([...document.querySelectorAll("#evidence h3")])`)
	p.see("#evidence section:nth-of-type(1) p", "because of data.gate.allow")
	p.click("#evidence section:nth-of-type(1) summary", "deny to allow")
	p.see("#evidence section:nth-of-type(1) details pre", `"size": 15`)
	p.click("#evidence section:nth-of-type(1) details a", "What fired and what failed on both sides")
	p.see("h1", "Try")
	p.see(".answer:nth-child(1) .result", "false")
	p.see(".answer:nth-child(1) tr.failed", "input.size < 10")
	p.see(".answer:nth-child(2) .result", "true")
	p.see(".answer:nth-child(2) tr.fired", "allow if input.size < 20")
	p.do(chromedp.NavigateBack())
	p.see("#evidence", "2 decisions flip")
	said.none(t)
}
