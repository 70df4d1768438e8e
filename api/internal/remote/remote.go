// Package remote says which remote addresses count as one caller.
package remote

import "net/netip"

// ipv6Bits is the length of an IPv6 prefix that counts as one caller: a customer of a provider has at
// least a /64, and may use all of its addresses.
const ipv6Bits = 64

// Network returns the network whose addresses count as one caller: the /64 of an IPv6 address, else addr
// alone. An IPv4 address in IPv6 form counts as IPv4, and zones are ignored. addr must be valid.
func Network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() || addr.IsLoopback() {
		return netip.PrefixFrom(addr, addr.BitLen())
	}
	return netip.PrefixFrom(addr, ipv6Bits).Masked()
}
