// Package earlysignal catches SIGHUP before the rest of the program is initialised, so that a
// signal sent to a sidecar that is just starting asks for a reload and does not end it. It imports
// next to nothing, and its import path sorts before the large dependencies', because Go
// initialises packages in that order.
package earlysignal

import (
	"os"
	"os/signal"
	"syscall"
)

// HUP receives SIGHUP from the first moment. It holds one: several signals that nobody has read
// ask for the same reload.
var HUP = catch()

func catch() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}
