package watcher

import (
	"errors"

	"golang.org/x/sys/unix"
)

// openForWriting reports whether a process has the regular file open for writing. It asks for a read lease, which the
// kernel refuses then (fcntl(2), F_SETLEASE), and gives it back at once. It is false where the kernel does not tell: for
// another user's file, and on file systems without leases. Nothing is read.
func openForWriting(path string) bool {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd) //nolint:errcheck // which gives the lease back, too
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	return errors.Is(err, unix.EAGAIN)
}
