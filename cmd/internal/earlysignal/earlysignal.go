// Package earlysignal catches SIGHUP before the rest of the program is initialised, so that a signal
// sent to a sidecar that is just starting asks for a reload instead of ending the process.
//
// Go initialises the packages whose imports are ready in the order of their import paths. This package
// is therefore early because it imports only os and syscall, and because defenseclaw sorts before
// github.com. The script testdata/early_signal.txt of package cli breaks when a new import or another
// path makes it late; testdata/scenarios/30_early_hangup.txt sends real signals.
package earlysignal

import (
	"os"
	"os/signal"
	"syscall"
)

// HUP receives SIGHUP from the start of the process. It buffers one signal: several that were not read
// ask for the same reload.
var HUP = catch()

func catch() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}
