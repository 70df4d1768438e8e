package gate

import (
	"context"
	"net/http"
)

type insideKey struct{}

// Inside marks the context of a request that the process itself makes on behalf of a caller whom it let in before. Such a
// request needs no token as long as the caller's own is valid ([Gate.StillValid]), and none of the checks that stand
// against browsers and floods: who makes it has to make them.
func Inside(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, insideKey{}, c)
}

// inside returns the caller on whose behalf the process itself makes a request.
func (g *Gate) inside(r *http.Request) (c Caller, marked, valid bool) {
	c, marked = r.Context().Value(insideKey{}).(Caller)
	return c, marked, marked && g.StillValid(c)
}

// CheckPage returns the denial of a request that a page of another site had a browser send, or that comes too fast; nil: it
// may be answered, to whoever sent it. A link on another site may lead here: navigation that only shows something passes.
func (g *Gate) CheckPage(r *http.Request) *Denial {
	switch {
	case !g.throttle.allow(r):
		return &Denial{http.StatusTooManyRequests, "too many requests from this address"}
	case !g.allowsHost(hostname(r.Host)):
		return &Denial{http.StatusForbidden, "Host is neither the bound address nor a loopback name, nor one of --allowed-hosts"}
	case !g.checkOrigin(r):
		return &Denial{http.StatusForbidden, "non-localhost Origin rejected"}
	case !checkFetchSite(r) && !followsLink(r):
		return &Denial{http.StatusForbidden, "cross-site request rejected"}
	default:
		return nil
	}
}

// followsLink reports whether a browser goes to a page, by itself and not within another.
func followsLink(r *http.Request) bool {
	return isSafe(r.Method) && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// CheckSignIn is [Gate.CheckToken] for a token that somebody types into a page: wrong ones count.
func (g *Gate) CheckSignIn(r *http.Request, token string) (Caller, *Denial) {
	digest := DigestOf(token)
	if found, ok := g.lookUp(digest); ok {
		return Caller{Name: found.Name, Scopes: found.Scopes, Secret: token, digest: digest}, nil
	}
	return Caller{}, g.denyToken(r)
}
