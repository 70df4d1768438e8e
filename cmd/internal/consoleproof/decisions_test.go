package consoleproof

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/testutil"

	"github.com/chromedp/chromedp"
)

// recorded has decisions made over HTTP, and waits until so many are recorded.
func (s *sidecar) recorded(n int, asked ...[2]string) {
	s.t.Helper()
	for _, q := range asked {
		s.call(http.MethodPost, "/v1/data/"+q[0], `{"input":`+q[1]+`}`)
	}
	if !testutil.Eventually(func() bool {
		var now struct{ Records int }
		return json.Unmarshal([]byte(s.call(http.MethodGet, "/policy/recordings", "")), &now) == nil && now.Records == n
	}) {
		s.t.Fatalf("never %d records: %s", n, s.call(http.MethodGet, "/policy/recordings", ""))
	}
}

// policyTest runs the tests of a directory.
func policyTest(t *testing.T, files map[string]string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "policy", "test", "--policy-dir", dir)
	cmd.Env = ownEnvironment()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The author of a call wants to know why it was refused, what the edit that waits would say, and to keep it as a test.
func TestADecisionIsExplainedComparedAndKept(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"roles.rego": rolePolicy}, "--safety-mode", "hold", "--safety-hold", "always")
	s.recorded(3, [2]string{"roles/allow", `{"role":"admin","size":3}`},
		[2]string{"roles/allow", `{"role":"admin","size":30,"password":"hidden-away"}`},
		[2]string{"roles/allow", `{"role":"<img src=x onerror=document.title='hurt'>"}`})
	p := s.signIn()
	said := p.complaints()
	p.click("nav a", "Decisions")
	p.see("h1", "Decisions")
	p.hold(`document.querySelectorAll("tbody tr").length === 3`)
	p.evaluate(`document.querySelector("#outcome").value = "deny"`)
	p.do(chromedp.SendKeys("#text", "hidden"))
	p.click("button.main", "Show")
	p.see("tbody", "No recorded decision is like this") // what is masked is found by nobody
	p.click("a.button", "Show all")
	p.hold(`document.querySelectorAll("tbody tr").length === 3`)
	p.evaluate(`document.querySelector("#outcome").value = "deny"`)
	p.do(chromedp.SendKeys("#text", "ADMIN"))
	p.click("button.main", "Show")
	p.hold(`document.querySelectorAll("tbody tr").length === 1`)
	p.hold(`location.search.includes("outcome=deny")`)

	// Why it was refused.
	p.click("tbody a", "UTC")
	p.see("h1", "roles/allow")
	p.see("tr.failed", "input.size < 10")
	p.see("tr.failed", "= 30")
	p.see("main", "Something of this decision is masked")
	p.hold(`!document.body.innerText.includes("hidden-away")`)
	p.hold(`!document.querySelector("#flips")`)

	// What the edit would say that waits for an approval.
	edited := strings.Replace(rolePolicy, "10", "50", 1)
	s.write("roles.rego", edited)
	digest := s.held()
	p.do(chromedp.Reload())
	p.see("#flips", "The candidate flips it: false → true.")
	p.see("section", "What the candidate says")
	p.see("tr.fired", "allow if {")
	p.see("tr.failed", "input.size < 10")

	// A test of it, which passes with the policy that decided, and not with the edit.
	p.click("a.button", "Make a test of it")
	p.see("#test", "recorded_test.rego")
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.querySelector("#test-text").textContent`))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := policyTest(t, map[string]string{"roles.rego": rolePolicy, "recorded_test.rego": text}); err != nil || !strings.Contains(out, "1") {
		t.Errorf("with the policy that decided: %v\n%s\n%s", err, out, text)
	}
	if out, err := policyTest(t, map[string]string{"roles.rego": edited, "recorded_test.rego": text}); err == nil {
		t.Errorf("with the edit it passes:\n%s\n%s", out, text)
	}

	// Once the edit serves, the policy that decided is asked as the history keeps it.
	s.run("policy", "approve", "--reason", "looked at", digest)
	p.do(chromedp.Reload())
	p.see("h2", "Why, by the policy that decided")
	p.see("tr.failed", "input.size < 10")
	p.hold(`!document.querySelector("#flips")`)
	p.click("a.button", "Try with this input")
	p.see("h1", "Try")
	p.see(".result", "true") // by what serves
	title, err := chromedp.Run(p.ctx, chromedp.Title())
	if err != nil || strings.Contains(title, "hurt") {
		t.Errorf("%s: %v", title, err)
	}
	said.none(t)
}

// held waits until an edit waits for an approval, and returns its digest.
func (s *sidecar) held() (digest string) {
	s.t.Helper()
	if !testutil.Eventually(func() bool {
		var status struct{ Control struct{ Mode, Digest string } }
		err := json.Unmarshal([]byte(s.call(http.MethodGet, "/policy/status", "")), &status)
		digest = status.Control.Digest
		return err == nil && status.Control.Mode == "held" && digest != ""
	}) {
		s.t.Fatal("the edit is never held")
	}
	return digest
}

// A thousand decisions are a page at a time.
func TestDecisionsAreAPageAtATime(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"p.rego": "package p\n\nx := input.n\n"})
	var asked [][2]string
	for n := range 130 {
		asked = append(asked, [2]string{"p/x", fmt.Sprintf(`{"n":%d}`, n)})
	}
	s.recorded(len(asked), asked...)
	p := s.signIn()
	p.click("nav a", "Decisions")
	p.hold(`document.querySelectorAll("tbody tr").length === 50`)
	p.click("p a", "Older")
	p.hold(`location.search.includes("before=") && document.querySelectorAll("tbody tr").length === 50`)
	p.click("p a", "Older")
	p.hold(`document.querySelectorAll("tbody tr").length === 30`)
	p.click("p a", "Back to the newest")
	p.see("tbody", "129")
}
