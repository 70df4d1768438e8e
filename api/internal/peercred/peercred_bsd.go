//go:build darwin || freebsd

package peercred

import "golang.org/x/sys/unix"

// Supported reports whether [UID] works on this system.
const Supported = true

func ofSocket(fd int) (uint32, bool) {
	peer, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, false
	}
	return peer.Uid, true
}
