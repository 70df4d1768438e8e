package reviewer

import (
	"fmt"
	"strings"

	"defenseclaw/worker/child"
)

// reasonOf says for people how a process ended.
func reasonOf(how child.Reason, detail string, memoryBytes int64) string {
	switch {
	case how == child.Hung:
		return "the reviewer hung, and was killed"
	case strings.Contains(detail, "out of memory"), strings.Contains(detail, "cannot allocate memory"):
		return fmt.Sprintf("the reviewer had no memory left: its limit is %d MiB (--safety-reviewer-memory-bytes)", memoryBytes>>20) //nolint:mnd // MiB
	case how == child.Killed:
		return "the reviewer was killed (out of memory?): " + detail
	default:
		return "the reviewer ended: " + detail
	}
}
