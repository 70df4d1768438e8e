//go:build unix && !linux

package child

import "syscall"

// attributes adds no end here: a process ends when its pipe does.
func attributes(background bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: background}
}
