package api

import (
	"time"

	"defenseclaw/api/gate"
)

var ReachableAddr = reachableAddr

// SetStallTimeout changes the limit for slow readers, for servers that start later, and returns the one before.
func SetStallTimeout(d time.Duration) time.Duration {
	before := stallTimeout
	stallTimeout = d
	return before
}

// RouteScopes returns the scope that each route's pattern needs.
func RouteScopes() map[string]gate.Scopes {
	scopes := map[string]gate.Scopes{}
	for _, r := range (&Server{}).table() {
		scopes[r.pattern] = r.scope
	}
	return scopes
}
