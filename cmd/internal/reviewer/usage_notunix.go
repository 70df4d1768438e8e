//go:build !unix

package reviewer

import "time"

var begun = time.Now()

// spent is the time that has passed, which is at least the processor time of one goroutine.
func spent() time.Duration { return time.Since(begun) }
