//go:build !linux

package probe

import "time"

var began = time.Now()

// threadTime is the time that has passed, where the processor time of a thread cannot be asked for.
func threadTime() time.Duration { return time.Since(began) }
