package sidecar

import (
	"errors"
	"syscall"
)

// onlyForOwner gives a socket its mode before it has a name: Linux gives the name the socket's own
// mode, so that there is no moment in which others may connect.
func onlyForOwner(_, _ string, c syscall.RawConn) error {
	var changed error
	err := c.Control(func(fd uintptr) { changed = syscall.Fchmod(int(fd), 0o600) })
	return errors.Join(err, changed)
}
