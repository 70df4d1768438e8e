// Package earlyheap lets the rest of the program be initialised, and a policy be read, without a collection of garbage.
// Go collects first at 4 MB, which the packages' own initialisation reaches: nearly all of that is kept, so to look for
// garbage in it delays the start and frees nothing.
//
// It is early for the reason that package earlysignal is: it imports the standard library alone.
package earlyheap

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// before is Go's own setting.
const before = 100

// percent has the first collection at 32 MB: Go multiplies the 4 MB by it as by GOGC.
const percent = 800

var (
	taken     atomic.Bool
	postponed = postpone()
)

// postpone holds until the first collection. After that, Go's own setting is back.
func postpone() bool {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return false
	}
	debug.SetGCPercent(percent)
	type collected struct{ _ [32]byte } // larger than 16 bytes: tiny objects share a block, which may stay live
	runtime.AddCleanup(new(collected), func(struct{}) {
		if !taken.Load() {
			debug.SetGCPercent(before)
		}
	}, struct{}{})
	return true
}

// Take leaves the setting to the caller, who has set another. Given the one that was there, it returns the one to go back to.
func Take(now int) int {
	if !taken.Swap(true) && postponed && now == percent {
		return before
	}
	return now
}
