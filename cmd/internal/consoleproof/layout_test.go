package consoleproof

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// watchShifts has each page that is loaded from now on add up by how much its parts move without being asked.
func (p *page) watchShifts() {
	p.t.Helper()
	const source = `window.shifts = []; window.shifted = 0;
		new PerformanceObserver(list => { for (const e of list.getEntries()) { shifted += e.value;
			shifts.push(e.value.toFixed(4) + " " + e.sources.map(s => s.node?.outerHTML?.slice(0, 80) || s.node?.textContent).join(" & ")); } })
			.observe({type: "layout-shift", buffered: true})`
	p.onEveryPage(source)
}

// painted waits for two pictures of the page after now, so that what moved is reported.
func (p *page) painted() {
	p.t.Helper()
	const frames = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(true)))))`
	if _, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](frames, chromedp.EvalAwaitPromise)); err != nil {
		p.t.Fatal(err)
	}
}

// steady fails if more has moved than is seen.
func (p *page) steady(what string) {
	p.t.Helper()
	p.painted()
	by, err := chromedp.Run(p.ctx, chromedp.Evaluate[float64](`shifted`))
	if err != nil || by >= 0.01 {
		text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`shifts.join("\n")`))
		p.t.Errorf("%s: the page moved by %.3f: %v\n%s", what, by, err, text)
	}
}

// atEachWidth runs a test in a wide and in a narrow window, each of a sidecar with an edit and a recorded decision.
func atEachWidth(t *testing.T, test func(s *sidecar, width int64)) {
	t.Helper()
	for _, width := range []int64{1280, 360} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			t.Parallel()
			s := start(t, soundFiles)
			edited("p.rego", soundEdit, "generation   2")(t, s)
			s.recorded(1, [2]string{"p/allow", `{"user":"ann"}`})
			test(s, width)
		})
	}
}

// Nothing on a page moves while it loads, nor when it changes by itself.
func TestNothingMovesByItself(t *testing.T) {
	t.Parallel()
	atEachWidth(t, func(s *sidecar, width int64) {
		p := s.signIn()
		p.look(width, "light")
		p.watchShifts()
		p.countChanges()
		// First, that a page that moves is found.
		p.do(chromedp.Navigate(s.origin() + "/console/timeline"))
		p.settled()
		p.steady("Timeline")
		p.evaluate(`document.querySelector("main").style.paddingTop = "300px"`)
		p.painted()
		p.hold(`shifted > 0.01`)

		for _, address := range append([]string{"/console/compare?from=1&to=2", "/console/policy?file=p.rego&line=3"}, everyPage...) {
			p.do(chromedp.Navigate(s.origin() + address))
			p.settled()
			p.steady(address)
		}
		for i, address := range []string{"/console/", "/console/policy", "/console/policy?file=p.rego", "/console/try?path=p/allow", "/console/decisions", "/console/fleet"} {
			p.do(chromedp.Navigate(s.origin() + address))
			p.settled()
			p.evaluate(`news = 0`)
			p.steady(address + ", before the change")
			s.write("p.rego", fmt.Sprintf("package p\n\nx := %d\n\nallow if input.user == \"bob\"\n", i+10))
			s.waitFor(s.t, fmt.Sprintf("generation   %d", i+3))
			if address != "/console/fleet" {
				s.seen(p, i+3)
			}
			p.settled()
			p.steady(address + ", after a change")
		}
	})
}

// seen waits until a page has asked for news after a generation serves, where it asks.
func (s *sidecar) seen(p *page, generation int) {
	s.t.Helper()
	p.hold(fmt.Sprintf(`!document.querySelector("[hx-trigger*='changed from:body']") ||
		(document.querySelector(".generation") ? document.querySelector(".generation").innerText.trim() === "%d" : news > 0)`, generation))
}

// media has the system say what people set in it.
func (p *page) media(features ...string) {
	p.t.Helper()
	var all []*emulation.MediaFeature
	for i := 0; i < len(features); i += 2 {
		all = append(all, &emulation.MediaFeature{Name: features[i], Value: features[i+1]})
	}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: all}); err != nil {
		p.t.Fatal(err)
	}
}

// At twice the size (half as many pixels), each page is no wider than its window. With colours that the system forces, levels differ by
// their shapes and words, and what has the focus shows it. Who wants less motion gets none.
func TestPagesAsPeopleSetThem(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{
		"p.rego": soundFiles["p.rego"], longName + ".rego": "package " + longName + "\n\n" + longName + " := 1\n",
	})
	p := s.signIn()
	p.countChanges()
	for _, address := range append([]string{"/console/policy?file=" + longName + ".rego"}, everyPage...) {
		p.do(chromedp.EmulateViewport(640, 450, chromedp.EmulateScale(2)))
		p.media("prefers-reduced-motion", "reduce", "forced-colors", "active")
		p.do(chromedp.Navigate(s.origin() + address))
		p.settled()
		for _, width := range []int64{640, 360, 320} { // 320: 1280 at 400 %, which WCAG asks for
			p.do(chromedp.EmulateViewport(width, 450, chromedp.EmulateScale(2)))
			p.painted()
			wide, err := chromedp.Run(p.ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
			if err != nil || wide > 0 {
				t.Errorf("%s, %d px: the page is %d px wider than the window: %v", address, width, wide, err)
			}
		}
		const moving = `JSON.stringify([...document.querySelectorAll("*")].filter(e => { const s = getComputedStyle(e);
			return s.animationName !== "none" || s.transitionDuration.split(",").some(d => parseFloat(d) > 0.001); }).map(e => e.outerHTML.slice(0, 80)))`
		for _, what := range ask[[]string](p, moving) {
			t.Errorf("%s: it moves although the system says not to: %s", address, what)
		}
		const same = `JSON.stringify([...document.querySelectorAll(".level")].filter(e => !e.textContent.trim() || !e.querySelector("svg")).map(e => e.outerHTML))`
		for _, what := range ask[[]string](p, same) {
			t.Errorf("%s: a level that has only a colour: %s", address, what)
		}
	}
	p.do(chromedp.Navigate(s.origin() + "/console/"))
	p.hold(`matchMedia("(forced-colors: active)").matches && matchMedia("(prefers-reduced-motion: reduce)").matches`)
	p.tabTo("Reload")
	p.hold(`getComputedStyle(document.activeElement).outlineStyle !== "none"`)
	p.hold(`getComputedStyle(document.querySelector(".level svg")).fill === getComputedStyle(document.querySelector(".level")).color`)
}
