package consoleproof

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const rolePolicy = `package roles

default allow := false

allow if {
	input.role == "admin"
	input.size < 10
}
`

// write puts a text into the editor of a field, as fingers do.
func (p *page) write(field, text string) {
	p.t.Helper()
	p.hold(editor(field, ".cm-content"))
	p.evaluate(editor(field, ".cm-content") + ".focus()")
	p.do(chromedp.KeyEvent(text))
	p.hold(`document.querySelector("` + field + `").value.includes(` + "`" + text + "`" + `)`)
}

func TestTry(t *testing.T) {
	s := start(t, map[string]string{"roles.rego": rolePolicy})
	p := s.signIn()
	said := p.complaints()
	p.click("nav a", "Try")
	p.see("h1", "Try")
	p.click("section a", "roles/allow")
	p.hold(`document.querySelector("#path").value === "roles/allow"`)

	// A condition that fails, with its value and its place.
	p.write("#input", `{"role":"admin","size":30}`)
	p.click("#go", "Try")
	p.see(".result", "false")
	p.see("tr.failed", "input.size < 10")
	p.see("tr.failed", "= 30")
	p.see("tr.failed", "roles.rego:7")
	p.hold(editor(`pre[data-editor="rego"]`, ".cm-covered"))
	p.hold(editor(`pre[data-editor="rego"]`, ".cm-missed"))

	// The file changes on disk: what it would say stands beside what serves.
	p.evaluate(`document.querySelector("#beside").value = "disk"`)
	s.run("policy", "hold", "--reason", "a look before it serves")
	s.write("roles.rego", strings.Replace(rolePolicy, "10", "50", 1))
	p.click("#go", "Try")
	p.see(".answer:nth-child(1) .result", "false")
	p.see(".answer:nth-child(2) .result", "true")
	p.see("section", "The two policies answer differently")
	p.see(".answer:nth-child(2) tr.fired", "allow if {")

	// The place of a condition is open on the page Policy.
	p.click("tr.failed a", "roles.rego:7")
	p.see("h1", "roles.rego")
	said.none(t)
}

func TestTryFindsDocumentsAsOneTypes(t *testing.T) {
	s := start(t, map[string]string{"roles.rego": rolePolicy, "other.rego": "package other\n\nx := 1\n"})
	p := s.signIn()
	p.click("nav a", "Try")
	p.hold(`document.readyState === "complete" && window.htmx && document.querySelectorAll("#documents option").length > 2`)
	p.do(chromedp.Focus("#path"), chromedp.KeyEvent("oth"))
	p.hold(`document.querySelector("#path").value === "oth"`)
	p.hold(`[...document.querySelectorAll("#documents option")].every(o => o.value.startsWith("other")) && document.querySelectorAll("#documents option").length === 2`)
}

// What an edit that waits for an approval would say stands beside what serves, which goes on deciding.
func TestTryWhatTheCandidateWouldSay(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"roles.rego": rolePolicy}, "--safety-mode", "hold", "--safety-hold", "always")
	p := s.signIn()
	said := p.complaints()
	s.write("roles.rego", strings.Replace(rolePolicy, "10", "50", 1))
	s.held()
	p.see("h1", "A change waits for an approval")
	p.do(chromedp.Navigate(s.origin() + "/console/try?path=roles/allow"))
	p.write("#input", `{"role":"admin","size":30}`)
	p.evaluate(`document.querySelector("#beside").value = "candidate"`)
	p.click("#go", "Try")
	p.see(".answer:nth-child(1) h2", "what serves")
	p.see(".answer:nth-child(1) .result", "false")
	p.see(".answer:nth-child(1) tr.failed", "input.size < 10")
	p.see(".answer:nth-child(2) h2", "the candidate that waits")
	p.see(".answer:nth-child(2) .result", "true")
	p.see(".answer:nth-child(2) tr.fired", "allow if {")
	p.see("section", "The two policies answer differently")
	p.hold(`document.querySelector("#beside").value === "candidate"`)
	p.click(".answer:nth-child(2) tr.fired a", "roles.rego:5") // the file as it waits
	p.see("h1", "roles.rego")
	p.hold(`location.search.includes("of=held")`)
	p.see("#file", "As it waits for an approval")
	if out := s.call(http.MethodPost, "/v1/data/roles/allow", `{"input":{"role":"admin","size":30}}`); !strings.Contains(out, "false") {
		t.Errorf("the candidate decides: %s", out)
	}
	said.none(t)
}
