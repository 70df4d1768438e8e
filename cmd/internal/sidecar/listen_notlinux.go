//go:build !linux

package sidecar

import "syscall"

// onlyForOwner does nothing: elsewhere a socket has no mode before it has a name, and gets it right after.
func onlyForOwner(_, _ string, _ syscall.RawConn) error { return nil }
