package peercred

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Supported reports whether [UID] works on this system.
const Supported = true

func ofSocket(fd int) (uint32, bool) {
	peer, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return 0, false
	}
	return peer.Uid, peer.Uid != overflow()
}

// overflow is the user id that stands for all users of other user namespaces who have none in this one. It says
// nothing, even if it equals this process's own.
var overflow = sync.OnceValue(func() uint32 {
	const usual = 65534
	text, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil {
		return usual
	}
	uid, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return usual
	}
	return uint32(uid)
})
