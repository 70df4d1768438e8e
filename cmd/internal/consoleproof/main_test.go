// Package consoleproof drives the console of the built program with a real browser.
package consoleproof

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"defenseclaw/cmd/internal/testutil"

	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"
)

var program string // built once

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "consoleproof")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "defenseclaw-gateway")
	if chromium() != "" { // else nothing runs it
		build := exec.Command("go", "build", "-o", program, "defenseclaw/cmd/defenseclaw-gateway")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			os.Exit(1)
		}
	}
	code := m.Run()
	closeBrowser()
	_ = os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// chromium is the browser; empty: there is none.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// sidecar is the built program on a policy directory.
type sidecar struct {
	t    *testing.T
	dir  string
	data string
	stop func() // at once, as if its machine were gone
}

func start(t *testing.T, files map[string]string, flags ...string) *sidecar {
	t.Helper()
	if chromium() == "" {
		t.Skip("SKIPPED: the console is not driven: there is no Chromium on this machine")
	}
	s := &sidecar{t: t, dir: t.TempDir(), data: t.TempDir()}
	for name, text := range files {
		s.write(name, text)
	}
	args := append([]string{"serve", "--policy-dir", s.dir, "--data-dir", s.data, "--api-port", "0"}, flags...)
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = testutil.Patience
	cmd.Env = ownEnvironment()
	log := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Log(log)
		}
	})
	if !testutil.Eventually(func() bool {
		out, err := s.try("policy", "status") // which is no success either where no policy is loaded
		return err == nil || strings.Contains(out, "\nstate ")
	}) {
		t.Fatal("the sidecar does not answer")
	}
	return s
}

// ownEnvironment leaves out what would set up the sidecar otherwise.
func ownEnvironment() (env []string) {
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "DEFENSECLAW_") {
			env = append(env, line)
		}
	}
	return env
}

func (s *sidecar) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sidecar) try(args ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), program, append(args, "--data-dir", s.data)...)
	cmd.Env = ownEnvironment()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *sidecar) run(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// page is a tab of a browser.
type page struct {
	t   *testing.T
	ctx context.Context
}

func (s *sidecar) signIn() *page {
	s.t.Helper()
	p := s.browse()
	p.do(chromedp.Navigate(s.link()))
	p.see(`h1`, "All is well")
	return p
}

// link is an address that signs a browser in, once.
func (s *sidecar) link() string {
	s.t.Helper()
	return strings.TrimSpace(s.run("console", "--print"))
}

// browser is the one that all tests share. Starting one takes longer than many a test.
var browser = sync.OnceValues(func() (context.Context, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium()), chromedp.WindowSize(1280, 900))
	if runtime.GOOS == "linux" && os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // its sandbox refuses root
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeTab := chromedp.NewContext(ctx)
	closeBrowser = func() { closeTab(); cancel() }
	return ctx, chromedp.Do(ctx) // which begins it
})

var closeBrowser = func() {} // once all tests are done

// browse begins a window that nobody has signed in, with cookies and storage of its own.
func (s *sidecar) browse() *page {
	s.t.Helper()
	ctx, err := browser()
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
	s.t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 5*testutil.Patience)
	s.t.Cleanup(cancel)
	return &page{s.t, ctx}
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	for _, action := range actions {
		var err error
		// An element that the page replaces while it is being found is looked for again.
		testutil.Eventually(func() bool {
			err = chromedp.Do(p.ctx, action)
			return err == nil || !strings.Contains(err.Error(), "Could not find node")
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// see waits until an element has a text in it. Nobody loads the page.
func (p *page) see(element, text string) {
	p.t.Helper()
	const script = `document.readyState !== "loading" && [...document.querySelectorAll(%q)].some(e => e.innerText.includes(%q))` // all of it has come
	expression := fmt.Sprintf(script, element, text)
	// An error is a page that goes to another one.
	seen := testutil.Eventually(func() bool {
		found, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](expression))
		return err == nil && found
	})
	if !seen {
		body, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		p.t.Fatalf("%s never shows %q:\n%s", element, text, body)
	}
}

// evaluate runs a script whose value is of no interest.
func (p *page) evaluate(script string) {
	p.t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("("+script+", true)")); err != nil {
		p.t.Fatal(err)
	}
}

// click clicks on the first element with a text.
func (p *page) click(element, text string) {
	p.t.Helper()
	p.see(element, text)
	const script = `[...document.querySelectorAll(%q)].find(e => e.innerText.includes(%q)).click()`
	p.evaluate(fmt.Sprintf(script, element, text))
}
