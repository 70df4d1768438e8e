package consoleproof

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// drawn has each page that is loaded from now on keep what is written on its plots, and where.
const drawn = `window.drawn = []; const write = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
	const at = this.getTransform().transformPoint(new DOMPoint(x, y)), wide = this.measureText(text).width;
	const left = at.x - ({ right: wide, end: wide, center: wide / 2 }[this.textAlign] || 0);
	drawn.push({ Text: String(text), Left: left, Right: left + wide, Room: this.canvas.width });
	return write.apply(this, arguments);
}`

// label is a text on a plot.
type label struct {
	Text              string
	Left, Right, Room float64
}

// coloured is true where each plot has something in the colour of its first line, also where there is one number alone.
const coloured = `(() => {
	const probe = document.body.appendChild(document.createElement("a")); probe.href = "/"; const [r, g, b] = getComputedStyle(probe).color.match(/\d+/g).map(Number); probe.remove();
	return [...document.querySelectorAll("[data-plotted] canvas")].every(c => {
		const all = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
		for (let i = 0; i < all.length; i += 4) if (all[i] === r && all[i + 1] === g && all[i + 2] === b && all[i + 3] > 200) return true;
		return false;
	});
})()`

// Who looks at the console from India reads times of India, on plots, too, on a clock of 24 hours; no label is cut off.
func TestTimesAreThoseOfTheViewer(t *testing.T) {
	t.Parallel()
	for _, width := range []int64{1280, 360} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			t.Parallel()
			s := start(t, soundFiles)
			p := s.browse()
			if _, err := chromedp.Call(p.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Kolkata"}); err != nil {
				t.Fatal(err)
			}
			p.look(width, "light")
			p.onEveryPage(drawn)
			p.watchShifts()
			p.do(chromedp.Navigate(s.link()))
			p.see("h1", "All is well")
			p.see(".nothing", "No decisions in the last hour")
			p.see("dd time", "+05:30")
			p.see("footer", "times are those of your clock, +05:30")
			p.hold(`!document.body.innerText.includes("UTC") && document.querySelector("dd time").title.endsWith(" UTC")`)
			p.hold(`[...document.querySelectorAll("dd time")].every(e => Math.abs(new Date(e.textContent.replace(" ", "T").replace(" ", "")) - new Date(e.dateTime)) < 1000)`)
			p.hold(`document.querySelectorAll("[data-plotted] canvas").length === 3`)
			p.labels(t, `^\d\d:[0-5][05]$`)

			s.recorded(1, [2]string{"p/allow", `{"user":"ann"}`})
			p.evaluate(`drawn.length = 0`)
			s.write("p.rego", soundEdit)
			p.see(".generation", "2")
			p.hold(`!document.querySelector(".nothing") && drawn.some(d => /^[0-9.]+$/.test(d.Text))`)
			p.labels(t, `^(\d\d:[0-5][05]|[0-9.]+[kM]?)$`)
			p.settledPlots()
			p.hold(coloured)
			p.steady("Now, in another zone")
		})
	}
}

func (p *page) settledPlots() {
	p.t.Helper()
	p.hold(`!document.querySelector(".htmx-request") && [...document.querySelectorAll("[data-plot]")].every(e => e.dataset.plotted)`)
}

// labels fails where a label is another than those, or is cut off.
func (p *page) labels(t *testing.T, like string) {
	t.Helper()
	p.hold(`drawn.length > 5`)
	for _, l := range ask[[]label](p, fmt.Sprintf(`JSON.stringify(drawn.filter(d => d.Text && (d.Left < 0 || d.Right > d.Room || !/%s/.test(d.Text))))`, like)) {
		t.Errorf("a label that is cut off, or no time and no number: %+v", l)
	}
}

// What was typed stays when the session ends, and is sent after another sign-in.
func TestWhatWasTypedOutlivesTheSession(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	p := s.signIn()
	p.do(chromedp.Navigate(s.origin() + "/console/try?path=p/allow"))
	const editor = `document.querySelector("#input + div").shadowRoot.querySelector(".cm-content")`
	p.hold(editor)
	p.evaluate(editor + `.focus()`)
	p.do(chromedp.KeyEvent(`{"user":"ann"}`))
	p.hold(`document.querySelector("#input").value.includes("ann")`)
	p.evaluate(`fetch("/console/sign-out", {method: "POST", body: new URLSearchParams({form: document.querySelector("[name=form]").value})})`)
	p.see("#notice", "The session ended. What you typed stays here.")
	p.click("#go", "Try")
	p.see("#notice a", "Sign in in another window")
	p.hold(`document.querySelector("#input").value.includes("ann") && location.pathname === "/console/try"`)

	ctx, cancel := chromedp.NewContext(p.ctx)
	t.Cleanup(cancel)
	other := &page{t, ctx}
	other.do(chromedp.Navigate(s.link()))
	other.see("h1", "All is well")
	p.evaluate(`dispatchEvent(new Event("focus"))`)
	p.hold(`document.querySelector("#notice").childElementCount === 0`)
	p.click("#go", "Try")
	p.see(".result", "true")

	// Where nothing was typed, the page to sign in on leads back.
	p.do(chromedp.Navigate(s.origin() + "/console/timeline"))
	p.see("tbody", "applied")
	other.click("button", "Sign out")
	p.see("h1", "Sign in")
	p.hold(`document.querySelector("[name=next]").value === "/console/timeline"`)
}

// A page says that the sidecar is gone, keeps what was typed, and does not turn into an error of the browser.
func TestAPageSaysThatTheSidecarIsGone(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	p := s.signIn()
	p.do(chromedp.Navigate(s.origin() + "/console/order?order=hold"))
	p.do(chromedp.SendKeys("#reason", "before it is too late"))
	ctx, cancel := chromedp.NewContext(p.ctx)
	t.Cleanup(cancel)
	now := &page{t, ctx}
	now.do(chromedp.Navigate(s.origin() + "/console/"))
	now.see("h1", "All is well")
	s.stop()
	now.see("#notice", "The sidecar does not answer")
	now.see("h1", "All is well")
	p.click("button.main", "Hold what serves")
	p.see("#notice", "The sidecar does not answer")
	p.hold(`document.querySelector("#reason").value === "before it is too late"`)
}

// A part of a page that the sidecar refuses to renew says so, keeps what it shows, and says it no more once it is renewed.
func TestAPartThatIsNotRenewedSaysSo(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	p := s.signIn()
	p.evaluate(`htmx.ajax("GET", "/console/?part=there-is-none", "#now")`)
	p.see("#notice", "A part of this page cannot be renewed (404)")
	p.see("#now h1", "All is well")
	s.write("p.rego", soundEdit)
	p.see(".generation", "2")
	p.hold(`document.querySelector("#notice").childElementCount === 0`)
}

// An order that the sidecar refuses keeps the reason that was typed.
func TestARefusedOrderKeepsItsReason(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	p := s.signIn()
	p.do(chromedp.Navigate(s.origin() + "/console/order?order=approve&digest=x"))
	p.do(chromedp.SendKeys("#reason", "looked at"))
	p.click("button.main", "Approve")
	p.hold(`document.querySelector(".problem")?.innerText && document.querySelector("#reason").value === "looked at"`)
}

// Both sides stand beside each other where there is room, at the same height, and else one below the other. Long lines scroll within
// them; who copies lines gets no numbers and no signs. On paper there are no buttons.
func TestBothSidesAreComparedAtEachWidth(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"p.rego": "package p\n\nx := 1\n\ny := \"" + strings.Repeat("long ", 100) + "\"\n"})
	p := s.signIn()
	s.write("p.rego", "package p\n\nx := 2\n\nz := 3\n\ny := \""+strings.Repeat("long ", 100)+"\"\n")
	p.see(".generation", "2")
	p.do(chromedp.Navigate(s.origin() + "/console/compare?from=1&to=2"))
	p.look(1920, "light")
	const side = `const [a, b] = [...document.querySelectorAll(".diff pre")], [A, B] = [a, b].map(e => e.getBoundingClientRect()), line = (e, t) => [...e.querySelectorAll(".line")].find(l => l.innerText.includes(t)).getBoundingClientRect().top;`
	p.hold(`(() => { ` + side + ` return A.top === B.top && A.right < B.left && line(a, "long") === line(b, "long") && line(a, "x := 1") === line(b, "x := 2") })()`)
	p.hold(`[...document.querySelectorAll(".diff pre")].every(e => e.scrollWidth > e.clientWidth)`)
	p.hold(`getSelection().selectAllChildren(document.querySelectorAll(".diff pre")[1]) === undefined && getSelection().toString().includes("x := 2\n") &&
		!/[0-9]  ?\+|^ *[1-7] /m.test(getSelection().toString())`)
	p.look(360, "light")
	p.hold(`(() => { ` + side + ` return A.bottom < B.top && A.left === B.left })()`)
	p.hold(`[...document.querySelectorAll(".diff .none")].every(e => !e.checkVisibility()) && document.documentElement.scrollWidth <= innerWidth`)
	p.hold(`document.querySelector("header").getBoundingClientRect().height < 90 && [...document.querySelectorAll("nav a")].every(e => e.getBoundingClientRect().right <= document.documentElement.clientWidth) &&
		(e => e.scrollWidth <= e.clientWidth)(document.querySelector("nav ul"))`)
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}); err != nil {
		t.Fatal(err)
	}
	p.hold(`![...document.querySelectorAll("header, button, .skip")].some(e => e.checkVisibility()) && document.querySelector(".diff pre").checkVisibility()`)
}
