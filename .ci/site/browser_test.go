package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long a busy machine may take; a page that is right does not take it.
const patience = 2 * time.Minute

// A page is open in a browser.
type page struct {
	ctx context.Context
	t   *testing.T
}

// browse opens a page of the site as a file, without a server, in a browser that finds no host.
func browse(t *testing.T, name string) page {
	t.Helper()
	found := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if at, err := exec.LookPath(name); err == nil {
			found = at
		}
	}
	if found == "" {
		t.Skip("SKIPPED: the site is not looked at: there is no Chromium")
	}
	dir := site(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(found), chromedp.NoSandbox, chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // which begins it; its context must not end before the browser does
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	p := page{ctx, t}
	p.do(chromedp.Navigate("file://" + dir + "/" + name))
	return p
}

func (p page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// ask returns what a script does.
func ask[T any](p page, script string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// hold waits until a condition holds.
func (p page) hold(condition string) {
	p.t.Helper()
	for !ask[bool](p, condition) {
		select {
		case <-p.ctx.Done():
			p.t.Fatalf("does not come true: %s", condition)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Somebody looks for a flag, and comes to where it is explained, without a server, a network or a mouse.
func TestAFlagIsFoundByItsName(t *testing.T) {
	t.Parallel()
	p := browse(t, "index.html")
	// The key alone: the driver would type its character, too, where a keyboard does not.
	ask[bool](p, `document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "/", bubbles: true, cancelable: true}))`)
	p.hold(`document.activeElement.id === "search"`)
	p.do(chromedp.KeyEvent("--shutdown-delay"))
	p.hold(`document.querySelector("#found p").textContent.endsWith("found") && document.querySelectorAll("#found li a").length > 0`)
	if typed := ask[string](p, `document.getElementById("search").value`); typed != "--shutdown-delay" {
		t.Errorf("the field has %q", typed)
	}
	if first := ask[string](p, `document.querySelector("#found li a").textContent`); !strings.Contains(first, "--shutdown-delay") {
		t.Errorf("what is found first says %q", first)
	}
	p.do(chromedp.KeyEvent(kb.ArrowDown))
	p.hold(`document.activeElement.matches("#found li a")`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.hold(`!location.pathname.endsWith("/index.html") && document.readyState === "complete"`)
	if at := ask[string](p, `location.href`); !strings.HasPrefix(at, "file://") || !strings.Contains(ask[string](p, `document.querySelector("main").textContent`), "--shutdown-delay") {
		t.Errorf("the page %s does not have it", at)
	}
}

func TestWhatIsNowhereIsNotFound(t *testing.T) {
	t.Parallel()
	p := browse(t, "docs/index.html")
	p.do(chromedp.SendKeys("#search", "qqxxzzqq"))
	p.hold(`document.querySelector("#found p").textContent === "Nothing found."`)
	p.do(chromedp.KeyEvent(kb.Escape))
	p.hold(`document.getElementById("found").hidden`)
}

// A page has no wider lines than a phone has room for, and text that can be read in either colour scheme. Only tables and code scroll.
func TestPagesFitAPhone(t *testing.T) {
	t.Parallel()
	p := browse(t, "index.html")
	at := strings.TrimSuffix(ask[string](p, `location.href`), "index.html")
	if _, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 740, DeviceScaleFactor: 1, Mobile: true}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"index.html", "docs/reference/metrics.html", "docs/ARCHITECTURE.html", "docs/CHANGELOG.html", "docs/INSTALL.html"} {
		for _, scheme := range []string{"light", "dark"} {
			features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
			if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
				t.Fatal(err)
			}
			p.do(chromedp.Navigate(at + name))
			if width := ask[float64](p, `document.documentElement.scrollWidth`); width > 360 {
				t.Errorf("%s is %v wide", name, width)
			}
			if contrast := ask[float64](p, lowestContrast); contrast < 4.5 {
				t.Errorf("%s, %s: the contrast of a text is %.2f", name, scheme, contrast)
			}
		}
	}
}

// lowestContrast is the lowest contrast, by WCAG, between a text of the page and its ground.
const lowestContrast = `(() => {
	const rgb = c => c.match(/[\d.]+/g).map(Number);
	const light = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (rgb(c)[3] !== 0) return c; } return "rgb(255, 255, 255)"; };
	let lowest = 21;
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
		const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
		lowest = Math.min(lowest, (a + 0.05) / (b + 0.05));
	}
	return lowest;
})()`
