package console

import (
	"net/http"
	"runtime"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/gate"
)

// Config is what a Console needs. All of it is optional.
type Config struct {
	Version string           // of the program, for the foot of each page
	TLS     bool             // the sidecar is reached over TLS, so that the cookie is for TLS alone
	Now     func() time.Time // for tests; nil: time.Now
}

// Console are the pages. It is an [api.Console].
type Console struct {
	cfg      Config
	sessions *sessions
	inside   api.Inside

	made, work, streams *room
	processors          chan struct{} // of as many places as pages compute at the same time
}

// New makes a console.
func New(cfg Config) (*Console, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Console{cfg: cfg, sessions: newSessions(cfg.Now),
		made: newRoom(pagesAtOnce, pagesOfOne), work: newRoom(workAtOnce, workAtOnce), streams: newRoom(streamsAtOnce, streamsOfOne),
		processors: make(chan struct{}, processorsOf(runtime.GOMAXPROCS(0)))}, nil
}

// NewCode makes a code that signs one browser in as the caller, once.
func (c *Console) NewCode(caller gate.Caller) (string, time.Time, error) {
	return c.sessions.newCode(caller)
}

// page is one that a signed-in browser asks for.
type page func(*visit) error

// Mount returns the handler of all below [api.ConsolePrefix].
func (c *Console) Mount(inside api.Inside) http.Handler {
	c.inside = inside
	mux := http.NewServeMux()
	at := func(pattern string, h http.HandlerFunc) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.Handle(method+" "+api.ConsolePrefix+path, h)
	}
	at("GET static/{name}", c.static)
	at("GET enter", c.enter)
	at("POST enter", c.signIn)
	at("GET events", c.signedIn(c.events))
	at("GET session", c.signedIn(c.goesOn))
	at("POST sign-out", c.signedIn(c.signOut))
	for pattern, show := range map[string]page{
		"GET {$}":       c.now,
		"POST reload":   c.reload,
		"GET order":     c.ask,
		"GET timeline":  c.timeline,
		"GET compare":   c.compare,
		"GET policy":    c.policy,
		"GET decisions": c.decisions,
		"GET try":       c.try,
		"POST try":      c.try,
		"GET fleet":     c.fleet,
		"POST order":    c.order,

		"GET decisions/{id}": c.decision,
	} {
		at(pattern, c.signedIn(inRoom(show)))
	}
	mux.Handle("GET "+strings.TrimSuffix(api.ConsolePrefix, "/"), http.RedirectHandler(api.ConsolePrefix, http.StatusMovedPermanently))
	mux.Handle("/", http.HandlerFunc(c.noPage))
	return c.guarded(mux)
}

// guarded sets what browsers must know, and refuses what pages of other sites send.
func (c *Console) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
		h.Set("Referrer-Policy", "same-origin") // nothing for other sites; with no-referrer, forms would say Origin: null
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY") // for browsers that know no frame-ancestors
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if denial := c.inside.CheckPage(r); denial != nil {
			c.fail(w, r, denial.Status, denial.Message)
			return
		}
		limit := int64(maxForm)
		if r.URL.Path == api.ConsolePrefix+"enter" {
			limit += maxSignIn
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		next.ServeHTTP(w, r)
	})
}

const (
	maxForm   = 2 << 20  // an input that is tried
	maxSignIn = 64 << 10 // what the form to sign in has beside one that it keeps
)

func (c *Console) noPage(w http.ResponseWriter, r *http.Request) {
	c.fail(w, r, http.StatusNotFound, "there is no such page")
}
