package consoleproof

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// scripts turns those of pages on or off, as people do in the settings of a browser. What a test evaluates runs all the same.
func (p *page) scripts(on bool) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		p.t.Fatal(err)
	}
}

// Without scripts, an operator signs in, sees every page, and gives orders that count.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	s.recorded(1, [2]string{"p/allow", `{"user":"ann"}`})
	p := s.browse()
	p.scripts(false)
	p.do(chromedp.Navigate(s.link())) // its code is typed in, which no script does
	p.see("h1", "Sign in")
	_, code, _ := strings.Cut(s.link(), "#")
	p.do(chromedp.SendKeys("#secret", code), chromedp.Submit("#enter"))
	p.see("h1", "All is well")
	for _, mark := range []string{"typeof htmx", "typeof CodeMirror"} {
		p.hold(mark + ` === "undefined"`)
	}
	p.see("#activity table", "Until")
	p.hold(`document.querySelectorAll("#activity table").length >= 3 && !document.querySelector("canvas")`)

	for heading, what := range map[string]string{
		"Timeline": "serves", "Decisions": "p/allow", "Try": "p/allow", "Policy": "data.p", "Fleet": "",
	} {
		p.click("nav a", heading)
		p.see("nav a[aria-current]", heading)
		p.see("main", what)
	}
	p.click("nav a", "Decisions")
	p.click("tbody a", "UTC")
	p.see("tr.fired .level", "fired")
	p.click("a", "Make a test of it")
	p.see("#test-text", "package")

	p.do(chromedp.Navigate(s.origin() + "/console/try?path=p/allow"))
	p.do(chromedp.SendKeys("#input", `{"user":"ann"}`))
	p.click("#go", "Try")
	p.see(".result", "true")
	p.see("noscript pre, pre", "allow if input.user")
	p.do(chromedp.Navigate(s.origin() + "/console/policy?file=p.rego&line=3"))
	p.see("#file pre", "allow if input.user")

	p.do(chromedp.Navigate(s.origin() + "/console/"))
	p.click("a.button", "Hold what serves")
	p.see("label", "Why?")
	p.do(chromedp.SendKeys("#reason", "without scripts"))
	p.click("button.main", "Hold")
	p.see("h1", "An order keeps the policy")
	p.see("section", "without scripts")
	s.write("p.rego", soundEdit)
	p.click("a.button", "Follow the files again")
	p.click("button.main", "Follow the files again")
	p.see("h1", "All is well")
	p.see(".generation", "2")

	p.click("nav a", "Timeline")
	p.click("a.button", "Put it back")
	p.click("button.main", "Roll back")
	p.see("h1", "An order keeps the policy")
	if out := s.run("policy", "history"); !strings.Contains(out, "  control  ") {
		t.Errorf("the history has no rollback:\n%s", out)
	}
	p.click("button", "Sign out")
	p.see("h1", "Sign in")
	p.do(chromedp.Navigate(s.origin() + "/console/timeline"))
	p.see("h1", "Sign in")
	p.hold(fmt.Sprintf(`document.querySelector("[name=next]").value === %q`, "/console/timeline"))
}

// Without scripts, a form that is sent after the session ended is there again after a sign-in, as it was typed.
func TestAFormOutlivesItsSessionWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	p := s.signIn()
	p.scripts(false)
	ctx, cancel := chromedp.NewContext(p.ctx)
	t.Cleanup(cancel)
	other := &page{t, ctx}
	signOut := func() {
		t.Helper()
		other.do(chromedp.Navigate(s.origin() + "/console/"))
		other.click("button", "Sign out")
		other.see("h1", "Sign in")
	}
	signInAgain := func() {
		t.Helper()
		p.see("h1", "Sign in")
		p.see("main", "What you typed is kept")
		_, code, _ := strings.Cut(s.link(), "#")
		p.do(chromedp.SendKeys("#secret", code), chromedp.Submit("#enter"))
		p.see("main", "nothing was sent")
	}
	p.do(chromedp.Navigate(s.origin() + "/console/try?path=p/allow"))
	p.do(chromedp.SendKeys("#input", "{\n  \"user\": \"ann\"\n}"))
	signOut()
	p.click("#go", "Try")
	signInAgain()
	p.hold(`document.querySelector("#input").value.trim() === "{\n  \"user\": \"ann\"\n}" && document.querySelector("#path").value === "p/allow"`)
	p.hold(`!document.querySelector(".result")`)
	p.click("#go", "Try")
	p.see(".result", "true")

	p.do(chromedp.Navigate(s.origin() + "/console/order?order=hold"))
	p.do(chromedp.SendKeys("#reason", "typed at night"))
	signOut()
	p.click("button.main", "Hold what serves")
	signInAgain()
	if out := s.run("policy", "status"); strings.Contains(out, "PINNED") {
		t.Errorf("an order was given:\n%s", out)
	}
	p.click("button.main", "Hold what serves")
	p.see("h1", "An order keeps the policy")
	p.see("section", "typed at night")
}
