package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/api/internal/peercred"
)

// UntrustedError reports that nothing was sent to an address, since who listens there may not be the sidecar.
type UntrustedError struct {
	URL    string
	Reason string
}

// Error describes it in one line.
func (e *UntrustedError) Error() string {
	return fmt.Sprintf("nothing was sent to %s: %s", e.URL, e.Reason)
}

// A connection leads to a listener that may have the request.
type connection struct {
	conn  net.Conn
	base  string // of the URL to call
	name  string // of the URL in messages
	token string // to present; empty: none is needed
}

// connect finds the listener: at the Unix socket if one may be trusted there, else at the address.
func (c *Client) connect(ctx context.Context) (*connection, error) {
	if c.Socket != "" {
		if to, err := c.connectUnix(ctx, c.Socket, false); err == nil {
			return to, nil
		}
	}
	if path, ok := strings.CutPrefix(c.Addr, "unix:"); ok {
		return c.connectUnix(ctx, path, c.TLS != nil)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", reachableAddr(c.Addr))
	if err != nil {
		return nil, err
	}
	base := c.url("")
	if c.TLS == nil && c.Token != "" && !c.AnyListener {
		if err := challenge(ctx, conn, base, c.Token); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return &connection{conn: conn, base: base, name: base, token: c.Token}, nil
}

// connectUnix connects to a socket, and asks the kernel who listens there.
func (c *Client) connectUnix(ctx context.Context, path string, secure bool) (*connection, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	to := &connection{conn: conn, base: "http://localhost", name: "unix:" + path + ":", token: c.Token}
	if secure {
		to.base = "https://localhost"
	}
	me := os.Geteuid()
	switch uid, known := peercred.UID(conn); {
	case secure: // the certificate says who it is
	case !peercred.Supported: // the modes of the socket and of its directory have to do
	case !known:
		err = &UntrustedError{to.name, "the kernel does not tell whose process listens there"}
	case !trusts(me, int(uid), path):
		err = &UntrustedError{to.name, fmt.Sprintf("a process of user id %d listens there, not one of this user, %d, or of root", uid, me)}
	case c.TokenIsOptional && (me == 0 || int(uid) == me):
		to.token = ""
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return to, nil
}

// trusts reports whether a user may hand requests to a listener of another one. Root may trust the user to whom the
// directory of the socket belongs, such as a service's: that user could replace the sidecar anyway.
func trusts(me, uid int, path string) bool {
	if uid == me || uid == 0 {
		return true
	}
	owner, ok := ownerOf(filepath.Dir(path))
	return me == 0 && ok && owner == uid
}

// transport sends one request over the connection. It uses no proxy: the sidecar is on this machine or near it.
func (to *connection) transport(config *tls.Config) *http.Transport {
	unused := make(chan net.Conn, 1)
	unused <- to.conn
	return &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: config,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case conn := <-unused:
				return conn, nil
			default: // net/http tries again where a connection ends before it was used
				return nil, errors.New("the connection was closed before the request was sent")
			}
		},
	}
}

// url is how messages name a path of the address.
func (c *Client) url(path string) string {
	switch {
	case strings.HasPrefix(c.Addr, "unix:"):
		return c.Addr + ":" + path
	case c.TLS != nil:
		return "https://" + reachableAddr(c.Addr) + path
	default:
		return "http://" + reachableAddr(c.Addr) + path
	}
}

// reachableAddr turns an address to bind to into one to call: a wildcard becomes loopback.
func reachableAddr(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch ip := net.ParseIP(host); {
	case host == "":
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
