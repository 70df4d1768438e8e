package console_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestSigningIn(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	b := s.browser()
	if status, page := b.get("/console/"); status != http.StatusUnauthorized || strings.Contains(page, "Generation") {
		t.Errorf("without a session: %d\n%s", status, page)
	}
	code := s.code(token)
	if status, page := b.signIn(code); status != http.StatusOK || !strings.Contains(page, "All is well") {
		t.Errorf("with a code: %d\n%s", status, page)
	}
	if status, page := s.browser().signIn(code); status == http.StatusOK || !strings.Contains(page, "works once") {
		t.Errorf("with a code that was used: %d\n%s", status, page)
	}
	late := s.code(token)
	s.later(time.Minute)
	if status, _ := s.browser().signIn(late); status == http.StatusOK {
		t.Error("a code works after a minute")
	}
	if status, _ := s.browser().signIn(token); status != http.StatusOK {
		t.Errorf("with the token: %d", status)
	}
	if status, _ := s.browser().signIn("nonsense"); status != http.StatusUnauthorized {
		t.Errorf("with nonsense: %d", status)
	}
	if status, _ := b.post("/console/sign-out"); status != http.StatusOK {
		t.Errorf("sign-out: %d", status)
	}
	if status, _ := b.get("/console/"); status != http.StatusUnauthorized {
		t.Errorf("after sign-out: %d", status)
	}
}

func TestASessionEnds(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	b := s.browser()
	if status, _ := b.signIn(s.code(other)); status != http.StatusOK {
		t.Fatal(status)
	}
	old := s.signedIn()
	s.revoked.Store(true)
	if status, _ := b.get("/console/"); status != http.StatusUnauthorized {
		t.Errorf("after its token was revoked: %d", status)
	}
	if status, _ := old.get("/console/"); status != http.StatusOK {
		t.Errorf("after another token was revoked: %d", status)
	}
	s.later(8 * time.Hour)
	if status, _ := old.get("/console/"); status != http.StatusUnauthorized {
		t.Errorf("after eight hours: %d", status)
	}
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	b := s.signedIn()
	good := b.form
	for name, try := range map[string]struct {
		method string
		path   string
		form   url.Values
		change func(*http.Request)
		want   int
	}{
		"a form of another site":               {"POST", "/console/reload", url.Values{"form": {good}}, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		"a form of another port":               {"POST", "/console/reload", url.Values{"form": {good}}, func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }, 403},
		"a form without an origin":             {"POST", "/console/reload", url.Values{"form": {good}}, func(r *http.Request) { r.Header.Del("Origin") }, 403},
		"a form of nowhere":                    {"POST", "/console/reload", url.Values{"form": {good}}, func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		"a form without its value":             {"POST", "/console/reload", url.Values{}, nil, 403},
		"a form with another value":            {"POST", "/console/reload", url.Values{"form": {"x"}}, nil, 403},
		"a form that another site sends":       {"POST", "/console/reload", url.Values{"form": {good}}, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"an order of another site":             {"POST", "/console/order", url.Values{"order": {"hold"}}, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		"an order by a link":                   {"GET", "/console/reload", nil, nil, 404},
		"a picture on another site":            {"GET", "/console/", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"a frame on another site":              {"GET", "/console/", nil, navigates("iframe"), 403},
		"a name that resolves to here":         {"GET", "/console/", nil, func(r *http.Request) { r.Host = "evil.example" }, 403},
		"a sign-in that another site sends":    {"POST", "/console/enter", url.Values{"secret": {token}}, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		"the API with the session's cookie":    {"GET", "/policy/status", nil, nil, 401},
		"the session's value for another site": {"GET", "/console/session", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"a file outside of the static ones":    {"GET", "/console/static/..%2ftemplates%2fnow.html", nil, nil, 404},
		"an order that there is not":           {"POST", "/console/order", url.Values{"form": {good}, "order": {"reload?x=1"}}, nil, 404},
		"a page that there is not":             {"GET", "/console/x", nil, nil, 404},
		"a part of a page that there is not":   {"GET", "/console/?part=x", nil, func(r *http.Request) { r.Header.Set("Hx-Request", "true") }, 404},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.engine.Status().Last.StartedAt
			status, page, _ := b.do(try.method, try.path, try.form, try.change)
			if status != try.want {
				t.Errorf("it is answered %d, and %d was expected\n%s", status, try.want, page)
			}
			if !s.engine.Status().Last.StartedAt.Equal(before) {
				t.Error("it did something")
			}
		})
	}
	b.form = good
	if status, _ := b.post("/console/reload"); status != http.StatusOK {
		t.Errorf("its own form: %d", status)
	}
}

func navigates(to string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", to)
	}
}

// The browser keeps the cookie from a link on another site, and sends it with what the answer to that loads.
func TestALinkFromElsewhereLeadsIn(t *testing.T) {
	t.Parallel()
	b := open(t, sound).browser()
	status, page, _ := b.do(http.MethodGet, "/console/?x=1", nil, navigates("document"))
	if status != http.StatusOK || !strings.Contains(page, `http-equiv="refresh"`) || strings.Contains(page, "Generation") {
		t.Errorf("%d\n%s", status, page)
	}
}

func TestWhereASignInLeads(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/console/order?order=hold": "/console/order?order=hold",
		"https://evil.example/":     "/console/",
		"//evil.example/":           "/console/",
		"/console/\\evil.example":   "/console/",
		"/policy/status":            "/console/",
		"":                          "/console/",
	} {
		s := open(t, sound)
		b := s.browser()
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		_, _, header := b.do(http.MethodPost, "/console/enter", url.Values{"secret": {s.code(token)}, "next": {next}}, nil)
		if got := header.Get("Location"); got != want {
			t.Errorf("%q leads to %q, and %q was expected", next, got, want)
		}
		cookie := header.Get("Set-Cookie")
		for _, part := range []string{"HttpOnly", "SameSite=Strict", "Path=/console/", "Max-Age=28800"} {
			if !strings.Contains(cookie, part) {
				t.Errorf("the cookie is %q, and %s was expected in it", cookie, part)
			}
		}
	}
}

func TestWhatBrowsersAreTold(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	for _, path := range []string{"/console/", "/console/enter", "/console/static/console.js", "/console/x"} {
		_, _, header := s.signedIn().do(http.MethodGet, path, nil, nil)
		csp := header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: the policy is %q, and %s was expected in it", path, csp, part)
			}
		}
		if strings.Contains(csp, "unsafe") || header.Get("Referrer-Policy") != "same-origin" || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, header)
		}
	}
}

// A script of a page asks whether its session lasts, and gets the value of the one that there is; nobody else gets it.
func TestAPageAsksWhetherItsSessionLasts(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	b := s.signedIn()
	status, page, header := b.do(http.MethodGet, "/console/session", nil, nil)
	var said struct{ Form string }
	if err := json.Unmarshal([]byte(page), &said); err != nil || status != http.StatusOK || said.Form != b.form {
		t.Errorf("%d %s: %v", status, page, err)
	}
	if header.Get("Cache-Control") != "no-store" || header.Get("Content-Type") != "application/json" || header.Get("Access-Control-Allow-Origin") != "" {
		t.Error(header)
	}
	b.post("/console/sign-out")
	if status, page, _ := b.do(http.MethodGet, "/console/session", nil, nil); status != http.StatusUnauthorized || strings.Contains(page, said.Form) {
		t.Errorf("after signing out: %d %s", status, page)
	}
}

// A part of a page that asks without a session leads to the page to sign in on, which leads back, and nowhere else.
func TestASessionThatEndedLeadsBack(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	b := s.signedIn()
	b.post("/console/sign-out")
	for current, want := range map[string]string{
		s.url + "/console/decisions?outcome=deny": "/console/enter?next=%2Fconsole%2Fdecisions%3Foutcome%3Ddeny",
		s.url + "/console/":                       "/console/enter",
		s.url + "/console/enter":                  "/console/enter",
		s.url + "/console/../policy/status":       "/console/enter",
		"https://evil.example/":                   "/console/enter",
		"https://evil.example//console/":          "/console/enter",
		"javascript:alert(1)":                     "/console/enter",
		"":                                        "/console/enter",
		"%":                                       "/console/enter",
	} {
		_, _, header := b.do(http.MethodGet, "/console/?part=body", nil, func(r *http.Request) {
			r.Header.Set("Hx-Request", "true")
			r.Header.Set("Hx-Current-Url", current)
		})
		if got := header.Get("Hx-Redirect"); got != want {
			t.Errorf("%q leads to %q, want %q", current, got, want)
		}
	}
}
