package reviewer

import (
	"fmt"
	"slices"
	"strings"

	"defenseclaw/worker/child"
)

// reasonOf says for people how a process ended.
func reasonOf(how child.Reason, detail string, memoryBytes int64) string {
	switch {
	case how == child.Hung:
		return "the reviewer hung, and was killed"
	case outOfMemory(detail):
		return fmt.Sprintf("the reviewer had no memory left: its limit is %d MiB (--safety-reviewer-memory-bytes)", memoryBytes>>20) //nolint:mnd // MiB
	case how == child.Killed:
		return "the reviewer was killed (out of memory?): " + detail
	default:
		return "the reviewer ended: " + detail
	}
}

// outOfMemory knows how Go's runtime, and the one of C under it, say so.
func outOfMemory(detail string) bool {
	return slices.ContainsFunc([]string{"out of memory", "cannot allocate memory", "pthread_create failed: Resource temporarily unavailable"}, func(s string) bool {
		return strings.Contains(detail, s)
	})
}
