//go:build !linux

package client

import "net"

// checkPeer leaves it to the modes of the socket and of its directory.
func checkPeer(net.Conn, string) error { return nil }
