package api

import (
	"net/http"
	"strings"
	"time"

	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
)

// ConsolePrefix is where the pages of the console are.
const ConsolePrefix = "/console/"

// Console are the pages for people. They show and do what routes of this API show and do, by calling them.
type Console interface {
	// NewCode makes a code that signs a browser in once, as the caller.
	NewCode(caller gate.Caller) (code string, expires time.Time, err error)
	// Mount returns the handler of all below [ConsolePrefix].
	Mount(inside Inside) http.Handler
}

// Inside is what a [Console] gets of its server.
type Inside struct {
	// API answers requests whose context [gate.Inside] marks.
	API http.Handler
	// CheckPage, SignIn and StillValid are those of [gate.Gate].
	CheckPage  func(*http.Request) *gate.Denial
	SignIn     func(r *http.Request, token string) (gate.Caller, *gate.Denial)
	StillValid func(gate.Caller) bool
	// SignedIn and Refused put a sign-in into the audit log.
	SignedIn func(r *http.Request, caller gate.Caller)
	Refused  func(r *http.Request, why string)
}

// ConsoleCode is the answer to POST /console/codes.
type ConsoleCode struct {
	Path    string    `json:"path"` // of the page that signs in, with the code
	Expires time.Time `json:"expires"`
}

// newConsoleCode is POST /console/codes.
func (s *Server) newConsoleCode(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Console == nil {
		return &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "the console is turned off: --console"}
	}
	by, _ := r.Context().Value(requesterKey{}).(requester)
	code, expires, err := s.cfg.Console.NewCode(by.caller)
	if err != nil {
		return &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: err.Error()}
	}
	decision.WriteJSON(w, http.StatusOK, ConsoleCode{Path: ConsolePrefix + "enter#" + code, Expires: expires})
	return nil
}

// codesPattern is the one route below [ConsolePrefix] that is for programs.
const codesPattern = ConsolePrefix + "codes"

// withConsole has the console answer what is below its prefix.
func (s *Server) withConsole(api http.Handler) http.Handler {
	if s.cfg.Console == nil {
		return api
	}
	pages := s.cfg.Console.Mount(Inside{
		API: api, CheckPage: s.gate.CheckPage, SignIn: s.gate.CheckSignIn, StillValid: s.gate.StillValid,
		SignedIn: s.recordSignedIn, Refused: func(r *http.Request, why string) { s.recordRefused(r, "", why) },
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, ConsolePrefix) && r.URL.Path != codesPattern || r.URL.Path+"/" == ConsolePrefix {
			pages.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}
