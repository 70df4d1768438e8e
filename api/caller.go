package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/server/types"
)

type requesterKey struct{}

// requester identifies the sender of a request.
type requester struct {
	address, requestID string
	caller             gate.Caller
}

// withRequester adds the requester to the context. A decision needs it for the decision log, if there is one, and for
// a caller that may not read all documents; it is left out of the others, where it would be two allocations more.
func (s *Server) withRequester(r *http.Request, rt route, caller gate.Caller) *http.Request {
	if name := ownName(caller); name != "" {
		r = r.WithContext(engine.WithRequester(r.Context(), name))
	}
	if s.cfg.Decisions == nil && rt.scope == gate.ScopeDecide && caller.Scopes.Has(gate.ScopeQuery) {
		return r
	}
	by := requester{address: r.RemoteAddr, requestID: r.Header.Get(HeaderRequestID), caller: caller}
	if by.address == "@" { // the peer of a Unix socket has no address
		by.address = ""
	}
	return r.WithContext(context.WithValue(r.Context(), requesterKey{}, by))
}

// ownName is the name under which a caller's decisions count together, from wherever it calls. It is "" for the
// default token, which many may have, and for a user, whom the connection names.
func ownName(c gate.Caller) string {
	if c.Name == gate.DefaultName || c.User != "" {
		return ""
	}
	return "token " + c.Name
}

// callerName is the actor of what a request does.
func callerName(ctx context.Context) string {
	by, _ := ctx.Value(requesterKey{}).(requester)
	return by.caller.Name
}

// mayRead says whether the sender of a request may have a document, as [opa.API] asks before it decides. A caller
// without the scope query gets what rules make; see [engine.Generation.ReadsData]. A trace shows the data that the rules
// read, so it needs that scope as well.
func (s *Server) mayRead(r *http.Request, g *engine.Generation, path engine.Path, traced bool) error {
	by, ok := r.Context().Value(requesterKey{}).(requester)
	if !ok || by.caller.Scopes.Has(gate.ScopeQuery) { // see withRequester
		return nil
	}
	var err error
	switch {
	case traced:
		err = lacks(by.caller, gate.ScopeQuery, "an explanation")
	case g.ReadsData(path):
		err = lacks(by.caller, gate.ScopeQuery, fmt.Sprintf("the document %s, which is not made by rules alone%s,", path, meant(g, path)))
	default:
		return nil
	}
	s.recordRefused(r, by.caller.Name, err.Error())
	return err
}

// meant is an aside with the rules that a refused caller who mistyped their path meant; empty if there are none that it may
// ask for. It looks at rules only, so nobody learns from it what data files hold.
func meant(g *engine.Generation, path engine.Path) string {
	near := g.Nearest(path)
	if near == nil || decidesCallers(g) || g.ReadsData(near) {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", near)
}

// lacks is the error of a caller without a scope.
func lacks(caller gate.Caller, need gate.Scopes, what string) error {
	return &decision.HTTPError{Status: http.StatusForbidden, Message: fmt.Sprintf(
		"the token %q lacks the scope %q: %s needs it", caller.Name, need, what)}
}

// denyScope answers and records a caller whose token is not for this route.
func (s *Server) denyScope(w http.ResponseWriter, r *http.Request, rt route, caller gate.Caller) {
	err := lacks(caller, rt.needs(r.Method), r.Method+" "+r.URL.Path)
	s.recordRefused(r, caller.Name, err.Error())
	rt.writeError(w, http.StatusForbidden, types.CodeUnauthorized, err.Error())
}

// recheckInterval is how often a request that lasts has its token looked up again.
const recheckInterval = 250 * time.Millisecond

// whileValid returns a context that ends when the token of the request's sender is revoked, replaced or expires. stop
// releases it.
func (s *Server) whileValid(ctx context.Context) (_ context.Context, stop func()) {
	by, _ := ctx.Value(requesterKey{}).(requester)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(recheckInterval)
		defer ticker.Stop()
		for s.gate.StillValid(by.caller) {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
		cancel()
	}()
	return ctx, func() { cancel(); <-done }
}
