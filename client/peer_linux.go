package client

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// checkPeer asks the kernel who listens at a socket: only a process of this user or of root may have the request, or, if this
// is root, of the user to whom the directory of the socket belongs.
func checkPeer(conn net.Conn, path string) error {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return fmt.Errorf("%w: %w", errNotConnected, err)
	}
	var peer *syscall.Ucred
	var peerErr error
	err = raw.Control(func(fd uintptr) {
		peer, peerErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil || peerErr != nil {
		return &UntrustedError{unixScheme + path, "the kernel does not tell whose process listens there"}
	}
	me, uid := os.Geteuid(), int(peer.Uid)
	if uid == me || uid == 0 {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(path)); err == nil && me == 0 {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) == uid {
			return nil
		}
	}
	return &UntrustedError{unixScheme + path, fmt.Sprintf("a process of user id %d listens there, not one of this user, %d, or of root", uid, me)}
}
