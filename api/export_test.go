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

// RouteScopes returns what tells the scope that a method needs, by each route's pattern.
func RouteScopes() map[string]func(method string) gate.Scopes {
	scopes := map[string]func(string) gate.Scopes{}
	for _, r := range (&Server{}).table() {
		scopes[r.pattern] = r.needs
	}
	return scopes
}
