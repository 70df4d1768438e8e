package remote_test

import (
	"net/netip"
	"testing"

	"defenseclaw/api/internal/remote"
)

func TestAnIPv6NetworkIsOneCaller(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7":            "192.0.2.7/32",
		"::ffff:192.0.2.7":     "192.0.2.7/32",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
		"::1":                  "::1/128",
	} {
		if got := remote.Network(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("%s counts as %s; want %s", address, got, want)
		}
	}
}
