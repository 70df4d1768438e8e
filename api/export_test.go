package api

import "time"

var ReachableAddr = reachableAddr

// SetStallTimeout changes the limit for slow readers, for servers that start later, and returns the one before.
func SetStallTimeout(d time.Duration) time.Duration {
	before := stallTimeout
	stallTimeout = d
	return before
}
