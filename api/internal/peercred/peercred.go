// Package peercred says which user is at the other end of a Unix socket. The kernel notes that when a process
// connects or listens, so no process can claim to be another user's.
package peercred

import "net"

// UID returns the effective user id of the peer of a connection: of the process that connected or, if this side
// connected, of the one that called listen. ok is false if c is no connection over a Unix socket, or if the kernel
// cannot tell.
func UID(c net.Conn) (uid uint32, ok bool) {
	socket, isUnix := c.(*net.UnixConn)
	if !isUnix {
		return 0, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) { uid, ok = ofSocket(int(fd)) })
	return uid, ok && err == nil
}
