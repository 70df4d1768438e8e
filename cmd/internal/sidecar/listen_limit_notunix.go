//go:build !unix

package sidecar

import "math"

// descriptorLimit is how many descriptors this process may have open: elsewhere there is no such limit.
func descriptorLimit() int { return math.MaxInt }
