package consoleproof

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"defenseclaw/cmd/internal/testutil"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// complaints are what the browser says of a page: what its security policy forbids, and scripts that fail.
type complaints struct {
	mu  sync.Mutex
	all []string
}

func (c *complaints) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, text)
}

func (c *complaints) none(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.all {
		t.Errorf("the browser says: %s", text)
	}
}

func (p *page) complaints() *complaints {
	p.t.Helper()
	c := &complaints{}
	err := chromedp.Listen(p.ctx, func(ev any) {
		switch ev := ev.(type) {
		case *log.EventEntryAdded:
			c.add(fmt.Sprintf("%s: %s", ev.Entry.Source, ev.Entry.Text))
		case *runtime.EventExceptionThrown:
			c.add(ev.ExceptionDetails.Text)
		}
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// editor is a script whose value is what is within the first editor that follows an element.
func editor(element, within string) string {
	return fmt.Sprintf(`document.querySelector(%q).nextElementSibling.shadowRoot.querySelector(%q)`, element, within)
}

// hold waits until a script is true.
func (p *page) hold(script string) {
	p.t.Helper()
	held := testutil.Eventually(func() bool {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("!!("+script+")"))
		return err == nil && ok
	})
	if !held {
		body, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		p.t.Fatalf("never true: %s\n%s", script, body)
	}
}

func (p *page) colours(scheme string) {
	p.t.Helper()
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, params); err != nil {
		p.t.Fatal(err)
	}
}

// A file that is broken is opened at the place, from the frame that shows what is wrong.
func TestAFrameOpensTheFileAtThePlace(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"p.rego": "package p\n\nx := 1\n", "long.rego": "package long\n" + strings.Repeat("# a line\n", 300) + "x := 1\n"})
	p := s.signIn()
	said := p.complaints()
	s.write("long.rego", "package long\n"+strings.Repeat("# a line\n", 300)+"x := := 1\n")
	p.see("figure", "x := := 1")
	p.hold(`!document.querySelector("script[src$='editor.js']")`) // nothing is edited there
	p.click("figure a", "Open the file at the place")
	p.see("h1", "long.rego")
	p.see("#file", "As it is on disk")
	const here = `.cm-here`
	p.hold(editor("#file pre", here) + `?.innerText == "x := := 1"`)
	p.hold(`(b => b.top > 0 && b.bottom < innerHeight)(` + editor("#file pre", here) + `.getBoundingClientRect())`)
	content := editor("#file pre", ".cm-content")
	p.hold(content + `.getAttribute("aria-label") == "long.rego"`)
	p.hold(content + `.getAttribute("aria-readonly") == "true"`)
	p.evaluate(content + `.focus()`)
	p.do(chromedp.KeyEvent("zzz"))
	p.hold(`!` + content + `.innerText.includes("zzz")`)
	for scheme, least := range map[string]string{"light": "> 382", "dark": "< 382"} {
		p.colours(scheme)
		p.hold(`getComputedStyle(` + editor("#file pre", ".cm-editor") + `).backgroundColor.match(/\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) ` + least)
	}
	said.none(t)
}

// What a swap brings becomes an editor; by keyboard it is entered, written in and left; a form has what was written.
func TestAnEditorIsAField(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"p.rego": "package p\n\nx := 1\n"})
	p := s.signIn()
	said := p.complaints()
	p.click("nav a", "Policy")
	p.see("h1", "Policy")
	p.evaluate(`htmx.swap("#file", '<form id="f"><label for="i">The input</label><textarea id="i" name="input" data-editor="json" required>{}</textarea><button id="b">Go</button></form>', {swapStyle: "outerHTML"})`)
	content := editor("#i", ".cm-content")
	p.hold(`document.querySelector("#i").nextElementSibling.shadowRoot`)
	p.hold(content + `.getAttribute("aria-label") == "The input"`)
	p.click("label", "The input")
	p.hold(`document.activeElement.shadowRoot?.activeElement == ` + content)
	p.do(chromedp.KeyEvent(kb.Delete), chromedp.KeyEvent(kb.Delete), chromedp.KeyEvent(`[1, 2]`))
	p.hold(`JSON.stringify(JSON.parse(new FormData(document.querySelector("#f")).get("input"))) == "[1,2]"`)
	p.do(chromedp.KeyEvent(kb.Tab))
	p.hold(`document.activeElement.id == "b"`)
	p.evaluate(`document.querySelector("#f").reset()`)
	p.hold(content + `.innerText == "{}" && document.querySelector("#i").value == "{}"`)
	p.hold(`document.querySelector("#f").checkValidity()`)
	p.hold(`document.querySelectorAll("[data-edited] + div").length == 1`)

	// One in what is closed is made when it is opened.
	p.evaluate(`htmx.swap("#f", '<details id="d"><summary>More</summary><pre data-editor="rego" data-first="12" aria-label="later">x := 1\ny := 2</pre></details>', {swapStyle: "outerHTML"})`)
	p.hold(`document.querySelector("#d [data-edited]") && !document.querySelector("#d pre + div")`)
	p.click("summary", "More")
	p.hold(editor("#d pre", ".cm-lineNumbers") + `?.innerText.includes("13")`)
	said.none(t)
}

// The author looks for a rule, opens its file at the line, and goes to who refers to its package.
func TestAnAuthorFindsHisWay(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{
		"app.rego":  "package app\n\nimport data.lib\n\ndefault allow := false\n\nallow if {\n\tlib.is_admin(input.user)\n\tinput.size < 3\n}\n",
		"lib.rego":  "package lib\n\nis_admin(u) if u.role == \"admin\"\n\nunused := 1\n",
		"more.rego": "package more\n\nx := data.app.allow\n",
	})
	p := s.signIn()
	said := p.complaints()
	p.click("nav a", "Policy")
	p.see(".outline", "3 packages")
	p.do(chromedp.SendKeys("#q", "is_adm"), chromedp.SendKeys("#q", kb.Enter))
	p.click(".outline a", "is_admin")
	p.see("h1", "lib.rego")
	p.hold(editor("#file pre", ".cm-here") + `?.innerText.startsWith("is_admin")`)
	p.click("#file dd a", "data.app")
	p.see("h1", "app.rego")
	p.see("#file dl", "data.more")
	p.do(chromedp.SetValue("#in", "text"), chromedp.SetValue("#q", "INPUT.SIZE"), chromedp.SendKeys("#q", kb.Enter))
	p.click(".outline a", "app.rego:9")
	p.hold(editor("#file pre", ".cm-here") + `?.innerText.includes("input.size")`)

	s.write("lib.rego", "package lib\n\nis_admin(u) if u.role == \"root\"\n")
	p.see("#news", "Another policy serves now")
	p.click("#news a", "Show it")
	p.hold(`!document.querySelector("#news").innerText.trim()`)
	p.see("h1", "app.rego")
	said.none(t)
}

// call sends a request over the socket of the sidecar, whose owner may do everything.
func (s *sidecar) call(method, path, body string) string {
	s.t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.data, "sidecar.sock"))
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s, %v", method, path, answer.StatusCode, text, err)
	}
	return string(text)
}

// Lines that no recorded decision reached are marked, until a decision reaches them; a condition that an index excludes was reached.
func TestLinesThatNoDecisionReachedAreMarked(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"app.rego": "package app\n\nallow if {\n\tinput.role == \"admin\"\n\tinput.size < 3\n}\n"})
	p := s.signIn()
	said := p.complaints()
	decide := func(input string, seen int) {
		s.call(http.MethodPost, "/v1/data/app/allow", `{"input":`+input+`}`)
		if !testutil.Eventually(func() bool {
			return strings.Contains(s.call(http.MethodGet, "/policy/recordings", ""), fmt.Sprintf(`"seen":%d`, seen))
		}) {
			t.Fatal("the decision is never recorded")
		}
	}
	marked := func(kind string) string {
		return `[...document.querySelector("#file pre").nextElementSibling.shadowRoot.querySelectorAll(".cm-line")].flatMap((l, i) => l.classList.contains("cm-` + kind + `") ? [i + 1] : []).join()`
	}
	decide(`{"role": "guest"}`, 1)
	p.click("nav a", "Policy")
	p.click("#file a", "Lines that no recorded decision reached")
	p.see("#file td", "5")
	p.click("#file th a", "app.rego")
	p.hold(editor("#file pre", ".cm-here") + `?.innerText.includes("input.size")`)
	p.see("#file", "1 of 1 recorded decision made again")
	p.hold(marked("missed") + ` == "5" && ` + marked("covered") + ` == "3,4"`)
	p.see("#file", "Rules that were tried and gave no value: 3")
	p.hold(editor("#file pre", ".cm-signs .missed") + `?.textContent == "-"`)

	// What is new is made again for what serves then.
	s.write("app.rego", "package app\n\nallow if {\n\tinput.role == \"guest\"\n\tinput.size < 3\n}\n")
	p.see("#news", "Another policy serves now")
	decide(`{"role": "guest", "size": 1}`, 2)
	p.click("#news a", "Show it")
	p.see("#file", "2 of 2 recorded decisions made again")
	p.see("#file", "Every line was reached")
	p.hold(marked("missed") + ` == ""`)
	said.none(t)
}
