package settings

import (
	"errors"
	"net/url"
	"strings"
)

// checkOCI looks at the form of oci://REGISTRY/REPOSITORY:TAG; what follows the source reads it whole.
func checkOCI(u *url.URL) error {
	repository := strings.TrimPrefix(u.Path, "/")
	if u.Host == "" || repository == "" || !strings.ContainsAny(repository, ":@") || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@DIGEST was expected")
	}
	return nil
}

// Loopback reports whether a host is this machine, to which nobody on the way can send anything else.
func Loopback(host string) bool { return loopback(host) }
