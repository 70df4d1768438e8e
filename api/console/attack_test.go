package console_test

import (
	"context"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/events"
	"defenseclaw/api/gate"
)

// everyAddress has a page of each kind.
var everyAddress = []string{
	"/console/", "/console/timeline", "/console/compare?from=serving&to=disk", "/console/policy", "/console/decisions",
	"/console/try", "/console/fleet", "/console/order?order=hold", "/console/enter", "/console/there-is-none",
}

func asItComes(b *browser) *browser {
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

// Only the forms of pages change anything: no other method does, whatever a header or a field says.
func TestNoOtherMethodChangesAnything(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	b := s.signedIn()
	good := b.form
	before := s.engine.Status().Last.StartedAt
	for _, method := range []string{"HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} {
		for _, path := range append([]string{"/console/reload", "/console/order", "/console/sign-out"}, everyAddress...) {
			status, page, _ := b.do(method, path, url.Values{"form": {good}, "order": {"hold"}}, nil)
			switch {
			case method == http.MethodHead && page == "" && status < 500:
			case method != http.MethodHead && status == http.StatusNotFound:
			default:
				t.Errorf("%s %s: %d\n%s", method, path, status, page)
			}
		}
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		override := func(r *http.Request) { r.Header.Set(name, "POST") }
		if status, _, _ := b.do("GET", "/console/reload?_method=POST&form="+good, nil, override); status != http.StatusNotFound {
			t.Errorf("%s: %d", name, status)
		}
	}
	for _, path := range everyAddress { // pages that only show take no form
		if status, _ := b.post(path, "order", "nonsense", "secret", "nonsense"); status < 400 && !strings.HasPrefix(path, "/console/try") {
			t.Errorf("POST %s: %d", path, status)
		}
	}
	if status, _ := b.get("/console/"); status != http.StatusOK || !s.engine.Status().Last.StartedAt.Equal(before) {
		t.Errorf("%d; the last attempt began at %v, and before at %v", status, s.engine.Status().Last.StartedAt, before)
	}
}

// Nobody gets anything of a page without a session, by whatever spelling of its address, and no spelling leads to another site.
func TestSpellingsOfAnAddressOpenNothing(t *testing.T) {
	t.Parallel()
	s := open(t, map[string]string{"secret_name.rego": "package secret_name\n\np := 1\n"})
	if _, page := s.signedIn().get("/console/policy"); !strings.Contains(page, "secret_name") {
		t.Fatalf("the page has no name that could be given away\n%s", page)
	}
	b := asItComes(s.browser())
	for _, path := range []string{
		"/console//", "/console//policy", "/console/./policy", "/console/%2e/policy", "/console/static/..;/policy", "/console/static/%2e%2e/policy",
		"/console/static/..%2Fpolicy", "/console/static/../policy", "/console/policy/", "/console/policy%00", "/console/policy%2F", "/console/policy;x=1",
		"/console/policy.json", "/console/;/policy", "/CONSOLE/policy", "/%63onsole/policy", "/console/%70olicy", "/console/enter/../policy", "/console/enter/%2e%2e/policy",
		"/console\\policy", "/console/enter%2F..%2Fpolicy", "//console/policy", "/console/..//evil.example", "/console//evil.example/..", "/console/%2F%2Fevil.example",
		"/console/../policy/status", "/console/%2e%2e/policy/status", "/console/static/%2e%2e%2f%2e%2e%2fpolicy%2fstatus", "/x/../console/policy", "/console/codes/../policy",
		"/console/events", "/console/decisions/..%2F..%2Fpolicy", "/console/decisions/x",
	} {
		status, page, header := b.do(http.MethodGet, path, nil, nil)
		if status < 300 || strings.Contains(page, "secret_name") {
			t.Errorf("%s: %d\n%s", path, status, page)
		}
		at, err := url.Parse(s.url + "/")
		if err != nil {
			t.Fatal(err)
		}
		to, err := at.Parse(header.Get("Location"))
		if err != nil || to.Host != at.Host {
			t.Errorf("%s leads to %v: %v", path, to, err)
		}
	}
}

func TestASignInLeadsToAPageOfTheConsole(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	own, err := url.Parse(s.url + "/console/enter")
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range []string{
		"//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, `/console/\evil.example`, "/console/..//evil.example", "/console/../policy/status",
		"/console/%2e%2e/policy/status", "/console/.%2E/.%2e//evil.example", "/console/%2e%2e%2f%2e%2e%2fevil", "/console/%5cevil.example", "javascript:alert(1)", "JaVaScRiPt:alert(1)",
		"data:text/html,x", "https:evil.example", "https://evil.example/console/", "//evil.example/console/", "/console/\r\nSet-Cookie: a=b", "/console/\tx", " /console/",
		"/console/%0d%0aSet-Cookie:%20a=b", "@evil.example/console/", "/console@evil.example", "%2F%2Fevil.example", "/console/enter?next=//evil.example", "/console/x/../enter",
		"/console/?x=//evil.example", "/console/#//evil.example", "/console/\x00", "/console/%zz",
	} {
		b := asItComes(s.browser())
		status, page, header := b.do(http.MethodPost, "/console/enter", url.Values{"secret": {token}, "next": {next}}, nil)
		if status != http.StatusSeeOther {
			t.Fatalf("%q: %d\n%s", next, status, page)
		}
		to, err := own.Parse(header.Get("Location"))
		if err != nil || to.Scheme != own.Scheme || to.Host != own.Host || !strings.HasPrefix(to.JoinPath().Path, "/console") || len(header["Set-Cookie"]) != 1 {
			t.Errorf("%q leads to %q: %v %v", next, header.Get("Location"), err, header)
		}
		if _, page, _ := b.do(http.MethodGet, "/console/enter?"+url.Values{"next": {next}}.Encode(), nil, nil); strings.Contains(page, `value="/`) && !strings.Contains(page, `value="/console/`) {
			t.Errorf("%q is in the form\n%s", next, page)
		}
	}
}

// Every answer says that no page may frame it, and that nobody may keep it, also a refusal.
func TestEveryAnswerIsForNoFrameAndNoCache(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	in, out := asItComes(s.signedIn()), asItComes(s.browser())
	look := func(what string, header http.Header) {
		t.Helper()
		csp := header.Get("Content-Security-Policy")
		if header.Get("X-Frame-Options") != "DENY" || !strings.Contains(csp, "frame-ancestors 'none'") || header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
			t.Errorf("%s may be framed: %v", what, header)
		}
		if header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %v", what, header)
		}
	}
	for _, path := range append([]string{"/console", "/console//", "/console/static/none.js"}, everyAddress...) {
		for who, b := range map[string]*browser{"in": in, "out": out} {
			_, _, header := b.do(http.MethodGet, path, nil, nil)
			look(who+" "+path, header)
			_, _, header = b.do(http.MethodGet, path, nil, navigates("iframe"))
			look(who+" framed "+path, header)
			_, _, header = b.do(http.MethodPost, path, url.Values{}, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") })
			look(who+" foreign "+path, header)
		}
	}
}

// Names that resolve to this machine reach no page, no form and no file.
func TestNoOtherNameReachesThePages(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	b := s.signedIn()
	for _, host := range []string{"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "localhost@evil.example", "evil.example:80", "0x7f.1", "127.1", "[::ffff:8.8.8.8]", "8.8.8.8"} {
		as := func(r *http.Request) {
			r.Host = host
			if r.Header.Get("Origin") != "" {
				r.Header.Set("Origin", "http://"+host)
			}
		}
		for _, path := range append([]string{"/console/static/console.js", "/console"}, everyAddress...) {
			if status, page, _ := b.do(http.MethodGet, path, nil, as); status != http.StatusForbidden && status != http.StatusBadRequest {
				t.Errorf("%s as %s: %d\n%s", path, host, status, page)
			}
		}
		if status, _, header := b.do(http.MethodPost, "/console/enter", url.Values{"secret": {token}}, as); status < 400 || header.Get("Set-Cookie") != "" {
			t.Errorf("a sign-in as %s: %d", host, status)
		}
	}
}

// A browser's session is always one that the sign-in made, and the one before it ends.
func TestASessionCannotBeGivenToABrowser(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	const chosen = "CHOSENBYSOMEBODYELSE"
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
	name := "defenseclaw_console_" + port + "=" // two sidecars on one host do not end each other's sessions
	plant := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Cookie", name+value) }
	}
	b := asItComes(s.browser())
	_, _, header := b.do(http.MethodPost, "/console/enter", url.Values{"secret": {token}}, plant(chosen))
	first := header.Get("Set-Cookie")
	if first == "" || strings.Contains(first, chosen) {
		t.Fatalf("the cookie is %q", first)
	}
	if status, _, _ := s.browser().do(http.MethodGet, "/console/", nil, plant(chosen)); status != http.StatusUnauthorized {
		t.Errorf("with the value that was chosen: %d", status)
	}
	value, _, _ := strings.Cut(strings.TrimPrefix(first, name), ";")
	if status, _, _ := s.browser().do(http.MethodGet, "/console/", nil, plant(value)); status != http.StatusOK {
		t.Errorf("with the session's value: %d", status)
	}
	b.do(http.MethodPost, "/console/enter", url.Values{"secret": {token}}, plant(value))
	if status, _, _ := s.browser().do(http.MethodGet, "/console/", nil, plant(value)); status != http.StatusUnauthorized {
		t.Errorf("with the session from before another sign-in: %d", status)
	}
}

func TestTheCookieIsForTLSWhereTheBrowserUsesIt(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	for scheme, want := range map[string]bool{"https": true, "http": false} {
		b := asItComes(s.browser())
		_, _, header := b.do(http.MethodPost, "/console/enter", url.Values{"secret": {token}}, func(r *http.Request) {
			r.Header.Set("Origin", scheme+strings.TrimPrefix(s.url, "http"))
		})
		if got := strings.Contains(header.Get("Set-Cookie"), "Secure"); got != want {
			t.Errorf("%s: %q", scheme, header.Get("Set-Cookie"))
		}
	}
}

func TestAFormThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	b := s.signedIn()
	large := strings.Repeat("x", 3<<20)
	form := b.form
	for _, path := range []string{"/console/try", "/console/order", "/console/reload", "/console/enter"} {
		b.form = form
		if status, page := b.post(path, "input", large, "secret", large); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d\n%.200s", path, status, page)
		}
	}
	if status, _ := b.get("/console/"); status != http.StatusOK {
		t.Errorf("the session afterwards: %d", status)
	}
}

// A token that is gone signs nobody in, also by a code that it asked for before; a new one of the same name gives the old sessions nothing.
func TestCodesAndSessionsEndWithTheirToken(t *testing.T) {
	t.Parallel()
	const rotated = "a-new-secret-of-the-same-name"
	good := gate.DigestOf(other)
	var s *site
	s = open(t, sound, func(c *api.Config) {
		c.FindToken = func(d gate.Digest) (gate.Token, bool) {
			return gate.Token{Name: "other", Scopes: gate.AllScopes}, s.revoked.Load() && d == gate.DigestOf(rotated) || !s.revoked.Load() && d == good
		}
	})
	b := s.browser()
	if status, _ := b.signIn(other); status != http.StatusOK {
		t.Fatal(status)
	}
	code := s.code(other)
	s.revoked.Store(true)
	if status, _ := s.browser().signIn(code); status == http.StatusOK {
		t.Error("a code signs in after its token was replaced")
	}
	if status, _ := b.post("/console/reload"); status != http.StatusUnauthorized {
		t.Errorf("the session after its token was replaced: %d", status)
	}
	if status, _ := s.browser().signIn(rotated); status != http.StatusOK {
		t.Errorf("with the new token: %d", status)
	}
}

// An open page hears nothing any more after its session: by a sign-out, by a token that is gone, and after eight hours.
func TestAStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*site, *browser){
		"sign-out":        func(_ *site, b *browser) { b.post("/console/sign-out") },
		"another sign-in": func(_ *site, b *browser) { b.signIn(token) },
		"the token":       func(s *site, _ *browser) { s.revoked.Store(true) },
		"eight hours":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, err := events.New(events.Config{})
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, sound, func(c *api.Config) { c.Events = hub })
			b := s.browser()
			if status, _ := b.signIn(s.code(other)); status != http.StatusOK {
				t.Fatal(status)
			}
			if end == nil {
				s.later(8*time.Hour - time.Second)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/console/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := b.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Fatal(answer.Status)
			}
			if end != nil {
				end(s, b)
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			if ctx.Err() != nil {
				t.Error("the stream goes on")
			}
		})
	}
}

// The name of a token, which stands on every page and beside every order, is text.
func TestTheNameOfATokenIsText(t *testing.T) {
	t.Parallel()
	for _, bad := range hurtful {
		b := open(t, sound, func(c *api.Config) {
			c.FindToken = func(d gate.Digest) (gate.Token, bool) {
				return gate.Token{Name: bad, Scopes: gate.AllScopes}, d == gate.DigestOf(other)
			}
		}).browser()
		if status, _ := b.signIn(other); status != http.StatusOK {
			t.Fatal(status)
		}
		b.post("/console/order", "order", "hold", "reason", bad)
		for _, path := range everyAddress {
			_, page := b.get(path)
			noMarkup(t, page)
			if path != "/console/enter" && path != "/console/there-is-none" && !strings.Contains(html.UnescapeString(page), bad) {
				t.Errorf("%s does not name %s\n%s", path, bad, page)
			}
		}
	}
}

// A link to an order may come from anybody, and puts no words of his into the console's mouth.
func TestALinkPutsNoWordsIntoTheSentenceOfAnOrder(t *testing.T) {
	t.Parallel()
	b := open(t, sound).signedIn()
	const words = "1 is broken. Call 555-0100 before you go on. It"
	if status, page := b.get("/console/order?" + url.Values{"order": {"rollback"}, "to": {words}}.Encode()); status != http.StatusBadRequest || strings.Contains(page, "555") {
		t.Errorf("%d\n%s", status, page)
	}
	for _, to := range []string{"1", "sha256:0123456789abcdef"} {
		if status, page := b.get("/console/order?" + url.Values{"order": {"rollback"}, "to": {to}}.Encode()); status != http.StatusOK || !strings.Contains(page, "Number "+to) {
			t.Errorf("%s: %d\n%s", to, status, page)
		}
	}
}
