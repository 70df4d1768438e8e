// Package testutil is for the tests of cmd only.
package testutil

import "time"

// Patience is how long tests wait for what must happen. It matters only when it does not happen.
const Patience = time.Minute

// Eventually calls ok every few milliseconds until it returns true, and reports whether it did so within
// [Patience].
func Eventually(ok func() bool) bool {
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // only tests call this
		if ok() {
			return true
		}
	}
	return false
}
