package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"

	"defenseclaw/api"
	"defenseclaw/api/gate"
)

// cookieName is that of the cookie. Browsers send cookies to every port of a host, and two sidecars may be on one.
func cookieName(r *http.Request) string {
	const name = "defenseclaw_console"
	if _, port, err := net.SplitHostPort(r.Host); err == nil && isNumber(port) {
		return name + "_" + port
	}
	return name
}

// isNumber reports whether text has digits alone: who writes Host writes nothing else into a header.
func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// enter is the page to sign in on. A code follows # in its address, so that it gets into no log; the page's script sends it.
func (c *Console) enter(w http.ResponseWriter, r *http.Request) {
	c.showSignIn(w, r, http.StatusOK, "")
}

// signInPage is what its template shows.
type signInPage struct {
	frame

	Problem string
	Next    string      // the page that was asked for
	Kept    [][2]string // fields of a form that was sent without a session
}

func (c *Console) showSignIn(w http.ResponseWriter, r *http.Request, status int, problem string) {
	if status == http.StatusUnauthorized {
		api.Challenge(w.Header())
	}
	next := r.FormValue("next")
	if r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, api.ConsolePrefix+"enter") {
		next = r.URL.RequestURI()
	}
	p := signInPage{frame: c.frame(r, "Sign in", nil), Problem: problem, Next: ownPage(next)}
	if k, ok := keptOf(r); ok {
		p.Kept = k.fields()
	}
	c.render(w, status, "signin", p)
}

// ownPage is the address of a page of the console: nobody can have a sign-in lead elsewhere.
func ownPage(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || strings.Contains(u.Path, "\\") || !strings.HasPrefix(address, api.ConsolePrefix) {
		return api.ConsolePrefix
	}
	// Browsers go up at .. before they ask, also where its dots are escaped.
	to := path.Clean(u.Path) + "/"
	if !strings.HasPrefix(to, api.ConsolePrefix) || strings.HasPrefix(to, api.ConsolePrefix+"enter/") {
		return api.ConsolePrefix
	}
	return address
}

// signIn takes a code or a token. Both are secrets of more than a hundred bits; the gate counts wrong ones all the same.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	if !ownOrigin(r) {
		c.inside.Refused(r, "a sign-in to the console from another page")
		c.fail(w, r, http.StatusForbidden, "a sign-in comes from the console's own page")
		return
	}
	if c.tooLarge(w, r) {
		return
	}
	caller, denial := c.callerOf(r)
	if denial != nil {
		c.inside.Refused(r, "a sign-in to the console: "+denial.Message)
		c.showSignIn(w, r, denial.Status, denial.Message)
		return
	}
	secret, s, err := c.sessions.begin(caller)
	if err != nil {
		c.showSignIn(w, r, http.StatusServiceUnavailable, err.Error())
		return
	}
	if old, err := r.Cookie(cookieName(r)); err == nil { // a browser has one session
		c.sessions.end(old.Value)
	}
	c.inside.SignedIn(r, caller)
	http.SetCookie(w, c.cookie(r, secret, int(sessionLife.Seconds())))
	if k, ok := keptOf(r); ok {
		c.again(c.visit(w, r, s, secret), k, http.StatusOK)
		return
	}
	http.Redirect(w, r, ownPage(r.PostFormValue("next")), http.StatusSeeOther)
}

func (c *Console) callerOf(r *http.Request) (gate.Caller, *gate.Denial) {
	secret := strings.TrimSpace(r.PostFormValue("secret"))
	if caller, ok := c.sessions.useCode(secret); ok && c.inside.StillValid(caller) {
		return caller, nil
	}
	caller, denial := c.inside.SignIn(r, secret)
	switch {
	case denial == nil && !caller.Scopes.Has(gate.ScopeRead):
		return caller, &gate.Denial{Status: http.StatusForbidden, Message: "the token " + caller.Name + " lacks the scope read, which the console needs"}
	case denial != nil && denial.Status == http.StatusUnauthorized:
		denial.Message = "This is neither a token nor a code that is still good. A code works once, within a minute."
	}
	return caller, denial
}

// tooLarge answers a form that is larger than what is read of one.
func (c *Console) tooLarge(w http.ResponseWriter, r *http.Request) bool {
	var limit *http.MaxBytesError
	if !errors.As(r.ParseForm(), &limit) {
		return false
	}
	c.fail(w, r, http.StatusRequestEntityTooLarge, fmt.Sprintf("the form is too large: %d bytes at most", limit.Limit))
	return true
}

// cookie holds the secret of a session; a maxAge below 0 removes it. It is for TLS alone where the browser uses TLS, which it
// says in Origin if a proxy ends it.
func (c *Console) cookie(r *http.Request, secret string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(r), Value: secret, Path: api.ConsolePrefix, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: c.cfg.TLS || strings.HasPrefix(r.Header.Get("Origin"), "https://"),
	}
}

// ownOrigin reports whether a request that changes something is from a page of the console. Browsers say so in Origin; one
// that says nothing is none, or is so old that it would send foreign forms, too.
func ownOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	_, host, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(host, r.Host)
}

func (c *Console) visit(w http.ResponseWriter, r *http.Request, s *session, secret string) *visit {
	return &visit{console: c, w: w, r: r, session: s, secret: secret, id: w.Header().Get(api.HeaderRequestID)}
}

// signedIn lets a browser with a session see a page.
func (c *Console) signedIn(show page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secret := ""
		if cookie, err := r.Cookie(cookieName(r)); err == nil {
			secret = cookie.Value
		}
		s := c.sessions.find(secret)
		if s != nil && !c.inside.StillValid(s.caller) {
			c.sessions.end(secret)
			s = nil
		}
		if s == nil {
			c.turnAway(w, r)
			return
		}
		v := c.visit(w, r, s, secret)
		changes := r.Method != http.MethodGet && r.Method != http.MethodHead
		if changes && ownOrigin(r) && c.tooLarge(w, r) {
			return
		}
		if changes && (!ownOrigin(r) || !s.sent(r.PostFormValue("form"))) {
			c.inside.Refused(r, "a form that is not of the console's own page")
			if k, ok := keptOf(r); ok { // one of an earlier session
				c.again(v, k, http.StatusForbidden)
				return
			}
			c.fail(w, r, http.StatusForbidden, "a change comes from the console's own page: load it anew, and try again")
			return
		}
		if err := show(v); err != nil {
			v.failed(err)
		}
	}
}

// turnAway answers a browser without a session.
func (c *Console) turnAway(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Method == http.MethodGet:
		// The cookie is kept from navigation that begins on another site. What this page loads begins here.
		c.render(w, http.StatusOK, "again", c.frame(r, "One moment", nil))
	case r.Header.Get("Hx-Request") != "":
		w.Header().Set("Hx-Redirect", enterThen(r.Header.Get("Hx-Current-Url")))
		api.Challenge(w.Header())
		w.WriteHeader(http.StatusUnauthorized)
	default:
		c.showSignIn(w, r, http.StatusUnauthorized, "")
	}
}

// enterThen is the page to sign in on that leads back to the page of an address.
func enterThen(current string) string {
	enter := api.ConsolePrefix + "enter"
	if u, err := url.Parse(current); err == nil && ownPage(u.RequestURI()) == u.RequestURI() && u.RequestURI() != api.ConsolePrefix {
		enter += "?" + url.Values{"next": {u.RequestURI()}}.Encode()
	}
	return enter
}

// goesOn tells a page's script that the session lasts, and the value that forms need: what was typed on a page of an earlier
// session can be sent by this one, after another sign-in.
func (c *Console) goesOn(v *visit) error {
	v.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(v.w).Encode(map[string]string{"form": v.session.form})
}

// signOut ends the session at once, with what it streams.
func (c *Console) signOut(v *visit) error {
	c.sessions.end(v.secret)
	http.SetCookie(v.w, c.cookie(v.r, "", -1))
	http.Redirect(v.w, v.r, api.ConsolePrefix+"enter", http.StatusSeeOther)
	return nil
}
