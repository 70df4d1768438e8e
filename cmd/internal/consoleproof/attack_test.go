package consoleproof

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// hurtful runs a script, opens a picture, leaves an attribute, a script, a text field and a comment, if anything takes it as markup.
const hurtful = `"'--></script></textarea></title><img src=x onerror=document.title="hurt"><svg onload=document.title="hurt"><script>document.title="hurt"</script>{{1}}`

// harmless fails if the page took a text as markup, or did what its own security policy forbids.
func (p *page) harmless(address string) {
	p.t.Helper()
	p.hold(`document.readyState === "complete" && window.refusedHere`)
	const find = `JSON.stringify([...refusedHere, ...(document.title === "hurt" ? ["a text ran"] : []),
		...[...document.querySelectorAll("img, svg[onload], body script, [onerror], [onload], [onfocus], a[href^='javascript:' i], a[href^='data:' i]")].map(e => e.outerHTML)])`
	for _, what := range ask[[]string](p, find) {
		p.t.Errorf("%s: %s", address, what)
	}
}

// The listener that the tests rely on hears what a page's security policy refuses, and a page that runs a text is found.
func TestWhatAPageRefusesIsHeard(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	p := s.browse()
	p.watchViolations()
	p.do(chromedp.Navigate(s.link()))
	p.see("h1", "All is well")
	p.harmless("before")
	for directive, script := range map[string]string{
		"script-src-elem": `document.body.append(Object.assign(document.createElement("script"), {textContent: "document.title = 'hurt'"}))`,
		"script-src-attr": `document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=document.title='hurt'>")`,
		"style-src-attr":  `document.body.insertAdjacentHTML("beforeend", "<p style=color:red>")`,
		"img-src":         `document.body.insertAdjacentHTML("beforeend", "<img src=https://evil.example/x>")`,
		"connect-src":     `fetch("https://evil.example/").catch(() => 0)`,
		"form-action":     `document.body.append(Object.assign(document.createElement("form"), {id: "f", action: "https://evil.example/"})), document.getElementById("f").submit()`,
		"frame-src":       `document.body.insertAdjacentHTML("beforeend", "<iframe src=https://evil.example/></iframe>")`,
		"base-uri":        `document.head.insertAdjacentHTML("beforeend", "<base href=https://evil.example/>")`,
	} {
		p.evaluate(script)
		p.hold(fmt.Sprintf(`refusedHere.some(text => text.startsWith(%q))`, directive))
	}
	p.hold(`document.title !== "hurt"`)
}

// Nothing that policies, inputs, callers and operators write becomes more than text, wherever a page shows it.
func TestTextsOfOthersAreTextOnEveryPage(t *testing.T) {
	t.Parallel()
	name := `<img src=x onerror=document.title='hurt'>`
	policy := func(x string) string {
		return "package h\n\n# " + hurtful + "\nx := `" + x + hurtful + "`\n\nallow if input.user == `" + hurtful + "`\n\nobject[key] := 1 if some key in [input.user]\n"
	}
	s := start(t, map[string]string{name + ".rego": policy("1"), "data.json": fmt.Sprintf(`{"d": {%q: %q}}`, hurtful, hurtful)})
	input := fmt.Sprintf(`{"user": %q, %q: 1}`, hurtful, hurtful)
	s.recorded(2, [2]string{"h/allow", input}, [2]string{"h/object/" + url.PathEscape(name), input})
	s.run("policy", "hold", "--reason", hurtful)
	s.run("policy", "resume", "--reason", hurtful)
	edited(name+".rego", policy("2"), "generation   2")(t, s)
	s.recorded(2)

	p := s.browse()
	p.watchViolations()
	p.countChanges()
	p.do(chromedp.Navigate(s.link()))
	p.see("h1", "All is well")
	q := url.QueryEscape(hurtful)
	file := url.QueryEscape(name + ".rego")
	addresses := append([]string{
		"/console/compare?from=1&to=2", "/console/compare?from=" + q + "&to=" + q, "/console/policy?file=" + file + "&line=3", "/console/policy?file=" + q + "&of=" + q,
		"/console/policy?file=data.json", "/console/policy?q=" + q, "/console/policy?in=text&q=" + q, "/console/policy?package=" + q, "/console/policy?file=" + file + "&lines=reached",
		"/console/decisions?path=" + q + "&text=" + q + "&revision=" + q, "/console/decisions?outcome=" + q, "/console/decisions/" + url.PathEscape(hurtful),
		"/console/try?path=h/allow&input=" + url.QueryEscape(input), "/console/try?path=h/x", "/console/try?path=" + q + "&at=" + q + "&beside=" + q + "&time=" + q + "&record=" + q,
		"/console/order?order=rollback&to=" + q, "/console/order?order=approve&digest=" + q, "/console/order?order=" + q, "/console/timeline?before=" + q,
		"/console/fleet?q=" + q + "&state=" + q + "&revision=" + q, "/console/enter?next=" + q, "/console/?part=" + q, "/console/" + url.PathEscape(hurtful),
	}, everyPage...)
	visit := func() {
		t.Helper()
		for _, address := range addresses {
			p.do(chromedp.Navigate(s.origin() + address))
			p.settled()
			p.harmless(address)
		}
	}
	visit()
	p.do(chromedp.Navigate(s.origin() + "/console/decisions"))
	for _, address := range ask[[]string](p, `JSON.stringify([...document.querySelectorAll("tbody a")].map(a => a.href))`) {
		p.do(chromedp.Navigate(address + "?test=yes"))
		p.see("#test", "img src=x")
		p.settled()
		p.harmless(address)
	}

	// A file that does not parse, with a name of its own, in what is wrong, and a page that changes by itself.
	p.do(chromedp.Navigate(s.origin() + "/console/"))
	s.write(name+name+".rego", "package h\n\ny := `"+hurtful+"` +\n")
	p.see("figure", "onerror=document.title")
	p.harmless("Now, by itself")
	visit()
}

// A browser on another site gets in by a link, and by nothing else: no frame, no script, no form and no picture.
func TestAnotherSiteGetsNothingOfThePages(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	p := s.signIn()
	origin := s.origin()
	form := ask[string](p, `JSON.stringify(document.querySelector("[name=form]").value)`)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>evil</title><iframe id=frame src="%[1]s/console/"></iframe><a id=link href="%[1]s/console/timeline">look</a>
			<form id=form method=post action="%[1]s/console/order"><input name=form value=%[2]q><input name=order value=hold></form>`, origin, form)
	}))
	defer evil.Close()
	for _, site := range []string{evil.URL, strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)} { // one of the same host, and one of another
		p.do(chromedp.Navigate(site))
		// What a frame refuses to show is a page of the browser's own, whose content nobody here can reach.
		p.hold(`document.readyState === "complete" && document.getElementById("frame").contentDocument === null`)
		tried := `Promise.all([
			fetch("` + origin + `/console/", {credentials: "include"}).then(r => "read " + r.status, () => "refused"),
			fetch("` + origin + `/console/reload", {method: "POST", mode: "no-cors", credentials: "include", body: new URLSearchParams({form: "` + form + `"})}).then(r => r.type, () => "refused"),
			new Promise(done => { const i = new Image(); i.onload = () => done("shown"); i.onerror = () => done("refused"); i.src = "` + origin + `/console/static/icon.svg"; }),
		]).then(all => JSON.stringify(all))`
		text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](tried, chromedp.EvalAwaitPromise))
		if err != nil || text != `["refused","opaque","refused"]` && text != `["refused","refused","refused"]` {
			t.Errorf("%s: %s %v", site, text, err)
		}
		p.evaluate(`document.getElementById("form").submit()`)
		p.see("h1", "Forbidden")
		if out := s.run("policy", "status"); strings.Contains(out, "PINNED") || strings.Contains(out, "pinned") || !strings.Contains(out, "generation   1") {
			t.Errorf("%s: a form of another site did something:\n%s", site, out)
		}
		p.do(chromedp.Navigate(site))
		p.click("#link", "look")
		p.see("h1", "Timeline")
	}
}

// A tab that was open shows that its session ended, by itself: its stream is closed, and the next one is refused.
func TestAnOpenTabAfterTheSession(t *testing.T) {
	t.Parallel()
	s := start(t, soundFiles)
	p := s.signIn()
	other := "fetch('/console/sign-out', {method: 'POST', body: new URLSearchParams({form: document.querySelector('[name=form]').value})})"
	p.evaluate(other)
	p.see("h1", "Sign in")
}
