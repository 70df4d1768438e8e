//go:build !linux

package fleetproof_test

import "time"

// processor is not known here.
func processor(int) time.Duration { return 0 }
