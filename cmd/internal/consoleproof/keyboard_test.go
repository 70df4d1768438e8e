package consoleproof

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/testutil"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// stop is where the keyboard is.
type stop struct {
	Number  int    // of the element in the order of the page; -1: on none
	What    string // of it, for people
	Seen    bool   // it is on the screen, with a size
	Focused bool   // it has an outline
}

// walking gives each page a function that says where the keyboard is, and one that lists what keys must reach. An editor is in
// a shadow tree. Of the radio buttons of a group, keys reach one, and arrows the others.
const walking = `(() => {
  const every = [];
  const collect = root => { for (const e of root.querySelectorAll("*")) { every.push(e); if (e.shadowRoot) collect(e.shadowRoot); } };
  const named = e => (e.tagName + " " + (e.id || e.getAttribute("aria-label") || e.innerText || e.name || "")).slice(0, 60);
  const shows = e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0;
  window.walk = {
    wanted() {
      every.length = 0;
      collect(document);
      const groups = new Set();
      return JSON.stringify(every.flatMap((e, i) => {
        if (!e.matches("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0'], .cm-content[contenteditable=true]") || e.disabled || !shows(e)) return [];
        if (e.type === "radio") { if (groups.has(e.name)) return []; groups.add(e.name); }
        return [{Number: i, What: named(e)}];
      }));
    },
    here() {
      let e = document.activeElement;
      while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
      if (!e || e === document.body) return JSON.stringify({Number: -1, What: "nothing"});
      const box = e.getBoundingClientRect();
      const seen = shows(e) && box.width > 1 && box.height > 1 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
      // Of an editor, what is around the text may show the focus.
      const around = e.closest(".cm-editor");
      const marks = [e, around, around?.getRootNode().host].filter(Boolean);
      const ringed = x => { const s = getComputedStyle(x); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1; };
      return JSON.stringify({Number: every.indexOf(e), What: named(e), Seen: seen, Focused: marks.some(ringed)});
    },
  };
})()`

// ask evaluates a script whose value is JSON.
func ask[T any](p *page, script string) (value T) {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](script))
	if err == nil {
		err = json.Unmarshal([]byte(text), &value)
	}
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// tabThrough goes through the page that is loaded, to its end, by Tab alone. It begins anew if the page changes meanwhile.
func (p *page) tabThrough(address string) {
	p.t.Helper()
	for range 20 {
		p.settled()
		const changes = `JSON.stringify(window.changes)`
		before := ask[int](p, changes)
		wrong := p.walk()
		if ask[int](p, changes) != before {
			continue
		}
		for _, text := range wrong {
			p.t.Errorf("%s: %s", address, text)
		}
		return
	}
	p.t.Errorf("%s changes all the time", address)
}

func (p *page) walk() (wrong []string) {
	p.t.Helper()
	p.evaluate(walking)
	wanted := ask[[]stop](p, `walk.wanted()`)
	missed := map[int]string{}
	for _, w := range wanted {
		missed[w.Number] = w.What
	}
	p.evaluate(`document.body.tabIndex = -1, document.body.focus(), document.body.removeAttribute("tabindex")`) // from the top
	before := stop{Number: -1}
	for range len(wanted) + 20 {
		p.do(chromedp.KeyEvent(kb.Tab))
		var now stop
		testutil.Eventually(func() bool { // an editor shows it a little later
			now = ask[stop](p, `walk.here()`)
			return now.Number < 0 || now.Seen && now.Focused
		})
		if now.Number < 0 {
			break // past the last
		}
		if !now.Seen {
			wrong = append(wrong, "the keyboard is where nobody sees it: "+now.What)
		}
		if !now.Focused {
			wrong = append(wrong, now.What+" does not show that the keyboard is on it")
		}
		if now.Number <= before.Number {
			return append(wrong, "after "+before.What+" comes "+now.What+", which is before it on the page, or a trap")
		}
		delete(missed, now.Number)
		before = now
	}
	for _, what := range missed {
		wrong = append(wrong, "no key reaches "+what)
	}
	if len(wanted) < 2 || before.Number < 0 {
		wrong = append(wrong, fmt.Sprintf("there are only %d stops", len(wanted)))
	}
	return wrong
}

// countChanges has each page that is loaded from now on count how often a part of it was replaced.
func (p *page) countChanges() {
	p.t.Helper()
	const source = `window.changes = 0; window.news = 0; addEventListener("htmx:afterSettle", e => { changes++; if (e.target.matches?.("[hx-trigger*='changed']")) news++; })`
	p.onEveryPage(source)
}

// settled waits until plots, editors and what a page loads later are there, and it has asked for what was new since it was made.
func (p *page) settled() {
	p.t.Helper()
	p.hold(`document.readyState === "complete" && !document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling, [data-work]") &&
		[...document.querySelectorAll("[data-plot]")].every(e => e.dataset.plotted) && !document.querySelector("[data-editor]:not([data-edited])")?.checkVisibility() &&
		(news > 0 || !document.querySelector("[hx-trigger*='changed from:body']"))`)
}

// Every link, button and field of each page is reached by Tab, in the order of the page, with a focus that shows, and left again.
func TestEveryPageIsWalkedByKeys(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	edited("p.rego", soundEdit, "generation   2")(t, s)
	s.recorded(1, [2]string{"p/allow", `{"user":"ann"}`})
	p := s.signIn()
	p.countChanges()
	for _, address := range append([]string{"/console/compare?from=1&to=2", "/console/enter", "/console/policy?file=p.rego&line=3"}, everyPage...) {
		p.do(chromedp.Navigate(s.origin() + address))
		p.tabThrough(address)
	}
	p.do(chromedp.Navigate(s.origin() + "/console/decisions"))
	p.click("tbody a", "UTC")
	p.see("h1", "p/allow")
	p.tabThrough("a decision")
}

// What the operator opened, chose and stands on stays when the page changes by itself.
func TestAChangeLeavesThePersonWhereHeIs(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	edited("p.rego", soundEdit, "generation   2")(t, s)
	p := s.signIn()
	p.countChanges()
	p.do(chromedp.Navigate(s.origin() + "/console/timeline"))
	p.settled()
	p.evaluate(`document.querySelector("input[name=from][value='1']").click(), document.querySelector("a[href$='to=1']").focus()`)
	s.write("p.rego", "package p\n\nx := 3\n")
	p.hold(`document.querySelector("input[name=to][value='3']")`)
	p.hold(`document.querySelector("input[name=from][value='1']").checked && document.activeElement.matches("a[href$='to=1']")`)

	p.do(chromedp.Navigate(s.origin() + "/console/"))
	p.settled()
	p.evaluate(`document.querySelector("#activity summary").click(), document.querySelector("#activity summary").focus()`)
	s.write("p.rego", "package p\n\nx := 4\n")
	p.see(".generation", "4")
	p.hold(`document.querySelectorAll("#activity details[open] tbody tr").length === 4 && document.activeElement.matches("summary")`)
}

// tabTo presses Tab until the keyboard is on what has a text.
func (p *page) tabTo(what string) {
	p.t.Helper()
	script := fmt.Sprintf(`((document.activeElement.innerText || document.activeElement.id || "").trim() === %q)`, what)
	for range 200 {
		p.do(chromedp.KeyEvent(kb.Tab))
		if on, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](script)); err == nil && on {
			return
		}
	}
	p.t.Fatalf("no key reaches %s", what)
}

// An operator without a mouse signs in, holds the policy, follows the files again, and signs out.
func TestAnOperatorWithoutAMouse(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	token := strings.TrimSpace(s.run("token"))
	p := s.browse()
	p.do(chromedp.Navigate(s.origin() + "/console/"))
	p.hold(`document.activeElement.id === "secret"`)
	p.do(chromedp.KeyEvent(token), chromedp.KeyEvent(kb.Enter))
	p.see("h1", "All is well")

	// The link that skips the navigation is first, shows, and does so.
	p.do(chromedp.KeyEvent(kb.Tab))
	p.hold(`document.activeElement.className === "skip" && document.activeElement.getBoundingClientRect().left >= 0`)
	p.do(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	p.hold(`document.querySelector("main").contains(document.activeElement)`)

	p.tabTo("Hold what serves")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.hold(`document.querySelector("#reason")`)
	p.tabTo("reason")
	p.do(chromedp.KeyEvent("by keys"), chromedp.KeyEvent(kb.Enter))
	p.see("h1", "An order keeps the policy")
	p.see("section", "by keys")
	p.tabTo("Follow the files again")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.hold(`document.querySelector("#reason")`)
	p.tabTo("Follow the files again")
	p.do(chromedp.KeyEvent(" "))
	p.see("h1", "All is well")
	p.tabTo("Sign out")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.see("h1", "Sign in")
}
