package consoleproof

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

const (
	deployPolicy = `package deploy

# Who may deploy what, and where.
default allow := false

allow if {
	input.role == "operator"
	input.environment in {"staging", "production"}
	input.replicas <= 10
}

allow if {
	input.role == "developer"
	input.environment == "staging"
}
`
	bolderPolicy = `package deploy

# Who may deploy what, and where.
default allow := false

allow if {
	input.role == "operator"
	input.environment in {"staging", "production"}
	input.replicas <= 50
}

allow if {
	input.role == "developer"
	input.environment == "staging"
}
`
	brokenPolicy = `package deploy

# Who may deploy what, and where.
default allow := false

allow if {
	input.role == "operator"
	input.environment in {"staging", "production"
	input.replicas <= 50
}
`
)

// The pictures of docs/CONSOLE.md: `make console-pictures` puts them into docs/images.
func TestPicturesOfTheDocuments(t *testing.T) {
	if *shots == "" {
		t.Skip("SKIPPED: pictures are made where -shots names a folder")
	}
	s := start(t, map[string]string{"deploy.rego": deployPolicy})
	var asked [][2]string
	for i, role := range []string{"operator", "developer", "guest"} {
		for j, environment := range []string{"staging", "production"} {
			asked = append(asked, [2]string{"deploy/allow", fmt.Sprintf(`{"role":%q,"environment":%q,"replicas":%d}`, role, environment, 4+20*j+i)})
		}
	}
	s.recorded(len(asked), asked...)
	p := s.signIn()
	p.countChanges()
	p.look(1000, "light")
	p.do(chromedp.Navigate(s.origin() + "/console/"))

	s.write("deploy.rego", brokenPolicy)
	p.see("h1", "What is on disk does not serve")
	p.picture("now")
	s.write("deploy.rego", bolderPolicy)
	p.see(".generation", "2")

	p.click("nav a", "Timeline")
	p.see("tbody", "refused")
	p.picture("timeline")
	p.goTo(s, "/console/compare?from=1&to=2", "#evidence", "flips")
	p.evaluate(`document.querySelector("details").open = true`)
	p.picture("compare")
	p.goTo(s, "/console/decisions?outcome=deny", "tbody", "UTC")
	p.click("tbody a", "UTC")
	p.see("h1", "deploy/allow")
	p.picture("decision")
	p.goTo(s, "/console/policy?file=deploy.rego&lines=reached", "#file", "Of all modules")
	p.picture("policy")
}

// goTo goes to a page, and waits until an element has a text in it.
func (p *page) goTo(s *sidecar, address, element, text string) {
	p.t.Helper()
	p.do(chromedp.Navigate(s.origin() + address))
	p.see(element, text)
}

func (p *page) picture(name string) {
	p.t.Helper()
	p.settled()
	// The folder of a test means nothing to a reader.
	p.evaluate(`document.querySelectorAll("dd code").forEach(e => { if (e.textContent.startsWith("/")) e.textContent = "/etc/defenseclaw/policies" })`)
	shot, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(*shots, "console-"+name+".png"), shot, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
