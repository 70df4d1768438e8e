package consoleproof

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"defenseclaw/cmd/internal/testutil"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	protocol "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// unreachable matches errors of npm about the network or the registry, not about the lock or the package.
var unreachable = regexp.MustCompile(
	`\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED|E401|E403|E407|E429|E5\d\d)\b`)

var errNoAxe = errors.New("axe-core cannot be had here")

// axe is the script of axe-core, which finds barriers. It is fetched once, and no part of the program.
var axe = sync.OnceValues(func() (script string, err error) {
	const from = "testdata/axe"
	dir, err := os.MkdirTemp("", "axe")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*testutil.Patience)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=1")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		if ctx.Err() != nil || unreachable.Match(out) {
			err = fmt.Errorf("%w: %w", errNoAxe, err)
		}
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "node_modules/axe-core/axe.min.js"))
	return string(text), err
})

func axeScript(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skipf("SKIPPED: no barriers are looked for on the console's pages: %v", err)
	}
	script, err := axe()
	if errors.Is(err, errNoAxe) {
		t.Skipf("SKIPPED: no barriers are looked for on the console's pages: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// looks are the ways in which every page is looked at.
var looks = []struct {
	name   string
	width  int64
	scheme string
	like   bool // another look, whose barriers these are: only its width is looked at
}{{"wide, light", 1280, "light", false}, {"wide, dark", 1280, "dark", false}, {"narrow, light", 360, "light", false}, {"narrow, dark", 360, "dark", false}, {"large", 1920, "light", true}}

// No page has a barrier that axe finds by WCAG 2.2 AA, is wider than a narrow window, or does what its own security policy forbids.
func TestPagesHaveNoBarriers(t *testing.T) {
	t.Parallel()
	for _, st := range states {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, st.files, st.flags...)
			script := axeScript(t)
			if st.reach != nil {
				st.reach(t, s)
			}
			p := s.browse()
			p.watchViolations()
			p.countChanges()
			if !st.out {
				p.do(chromedp.Navigate(s.link()))
				p.see("h1", st.shows)
			}
			pages := slices.Concat(everyPage, st.pages)
			if st.found != nil {
				pages = append(pages, st.found(s)...)
			}
			for _, address := range pages {
				p.do(chromedp.Navigate(s.origin() + address))
				if st.out && address != noPage {
					p.see("h1", st.shows)
				}
				p.settled()
				p.evaluate(`document.querySelectorAll("details").forEach(e => { e.open = true; })`)
				p.inspect(address, script)
			}
		})
	}
}

// origin is where the sidecar listens.
func (s *sidecar) origin() string {
	s.t.Helper()
	origin, _, found := strings.Cut(s.link(), "/console/")
	if !found {
		s.t.Fatal("the link has no page of the console in it")
	}
	return origin
}

// watchViolations has each page that is loaded from now on keep what its security policy refused.
func (p *page) watchViolations() {
	p.t.Helper()
	const source = `window.refusedHere = []; addEventListener("securitypolicyviolation", e => refusedHere.push(e.violatedDirective + " " + e.blockedURI))`
	p.onEveryPage(source)
}

// onEveryPage has a script run in each page that is loaded from now on, before its own.
func (p *page) onEveryPage(source string) {
	p.t.Helper()
	params := protocol.AddScriptToEvaluateOnNewDocumentParams{Source: source}
	if _, err := chromedp.Call(p.ctx, protocol.AddScriptToEvaluateOnNewDocument, params); err != nil {
		p.t.Fatal(err)
	}
}

// look has the window be as wide, and the system prefer the colours.
func (p *page) look(width int64, scheme string) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	}))
}

// barrier is one kind of barrier, and where it is.
type barrier struct {
	ID    string
	Help  string
	Nodes []string
}

// inspect looks at the page that is loaded. The scripts run for the debugger, which the page's security policy does not hold.
func (p *page) inspect(address, script string) {
	p.t.Helper()
	const find = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}).then(r => JSON.stringify({
		Kept: r.passes.length, Broken: r.violations.map(v => ({ID: v.id, Help: v.help, Nodes: v.nodes.map(n => n.html + " " + n.failureSummary)}))}))`
	p.evaluate("(()=>{" + script + "})()")
	for _, l := range looks {
		p.look(l.width, l.scheme)
		p.fits(address + ", " + l.name)
		if l.like {
			continue
		}
		text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](find, chromedp.EvalAwaitPromise))
		if err != nil {
			p.t.Fatalf("%s: %v", address, err)
		}
		var found struct {
			Kept   int // how many rules the page keeps
			Broken []barrier
		}
		if err := json.Unmarshal([]byte(text), &found); err != nil {
			p.t.Fatal(err)
		}
		if found.Kept < 5 {
			p.t.Errorf("%s, %s: axe found only %d rules to look at", address, l.name, found.Kept)
		}
		for _, b := range found.Broken {
			p.t.Errorf("%s, %s: %s: %s\n\t%s", address, l.name, b.ID, b.Help, strings.Join(b.Nodes, "\n\t"))
		}
	}
	p.named(address)
	refused, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`refusedHere.join("; ") + (document.title.includes("hurt") ? " a text ran" : "")`))
	if err != nil || refused != "" {
		p.t.Errorf("%s: the security policy refused %q: %v", address, refused, err)
	}
}

// fits fails where the page is wider than its window, and keeps a picture of it.
func (p *page) fits(name string) {
	p.t.Helper()
	wide, err := chromedp.Run(p.ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
	if err != nil || wide > 0 {
		p.t.Errorf("%s: the page is %d px wider than the window: %v", name, wide, err)
	}
	p.keepShot(name)
}

// named fails where the page's title says only what every page says, or a table has no caption, or a button or field is too small to hit.
func (p *page) named(address string) {
	p.t.Helper()
	const nameless = `JSON.stringify([...document.querySelectorAll("table:not(.u-legend)")].filter(t => !t.caption?.textContent.trim()).map(t => "a table without a caption: " + t.outerHTML.slice(0, 200)))`
	const small = `JSON.stringify([...document.querySelectorAll("button, .button, input:not([type=hidden]), select, textarea, summary, nav a")]
		.filter(e => e.checkVisibility()).map(e => [e, e.getBoundingClientRect()]).filter(([e, b]) => b.height < 23.9 || b.width < (e.type === "radio" ? 12 : 23.9))
		.map(([e, b]) => b.width + " by " + b.height + " px: " + e.outerHTML.slice(0, 200)))`
	for _, script := range []string{nameless, small} {
		for _, what := range ask[[]string](p, script) {
			p.t.Errorf("%s: %s", address, what)
		}
	}
	if title := ask[string](p, `JSON.stringify(document.title)`); !strings.HasSuffix(title, " · DefenseClaw") || len(title) < len("Now · DefenseClaw") {
		p.t.Errorf("%s: the title is %q", address, title)
	}
}

var shots = flag.String("shots", "", "keep a picture of each page in this `folder`")

// keepShot keeps a picture of the page, where pictures are wanted.
func (p *page) keepShot(name string) {
	p.t.Helper()
	if *shots == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		file := regexp.MustCompile(`[^a-zA-Z0-9]+`).ReplaceAllString(filepath.Base(p.t.Name())+name, "-")
		err = os.WriteFile(filepath.Join(*shots, file[:min(len(file), 150)]+".png"), picture, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
