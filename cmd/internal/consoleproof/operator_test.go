package consoleproof

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The operator at night: sees that an edit broke the policy, where, and that it is mended; puts an earlier one back.
func TestAnOperatorAtNight(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"p.rego": "package p\n\nx := 1\n"})
	now := s.signIn()

	s.write("p.rego", "package p\n\nx := 2\n")
	now.see(".generation", "2")
	s.write("p.rego", "package p\n\nx := := 3\n")
	now.see("h1", "What is on disk does not serve")
	now.see("figure", "x := := 3")
	s.write("p.rego", "package p\n\nx := 4\n")
	now.see("h1", "All is well")

	now.click("nav a", "Timeline")
	now.see("tbody", "refused")
	now.see("tbody", "applied")
	now.click("a.button", "Put it back")
	now.see("main p", "serves from this moment on")
	now.do(chromedp.SendKeys("#reason", "it was better"))
	now.click("button", "Roll back")
	now.see("h1", "An order keeps the policy as it is")
	now.see("section", "it was better")
	if out := s.run("audit", "list"); !strings.Contains(out, "policy-rolled-back") || !strings.Contains(out, "console-sign-in") {
		t.Errorf("the audit log has\n%s", out)
	}
	now.click("a.button", "Follow the files again")
	now.click("button.main", "Follow the files again")
	now.see("h1", "All is well")

	now.click("button", "Sign out")
	now.see("h1", "Sign in")
}

// The author looks at what differs, which nothing on the page may turn into markup.
func TestWhatDiffersIsShownAsText(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"p.rego": "package p\n\nx := 1\n"})
	p := s.signIn()
	s.write("p.rego", "package p\n\nx := \"<img src=x onerror=document.title='hurt'>\"\n")
	p.see(".generation", "2")
	p.click("nav a", "Timeline")
	p.see("tbody", "served")
	p.evaluate(`document.querySelectorAll("input[name=from]")[1].click(), document.querySelectorAll("input[name=to]")[0].click()`)
	p.click("button", "Compare")
	p.see(".diff .add", "<img src=x onerror=")
	p.see("#evidence", "Recorded decisions")
	title, err := chromedp.Run(p.ctx, chromedp.Title())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(title, "hurt") {
		t.Error("a policy's text ran")
	}
}
