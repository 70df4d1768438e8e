package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"defenseclaw/cmd/internal/settings"

	"github.com/coreos/go-systemd/v22/activation"
)

// listen takes the address: the socket that systemd hands over, a Unix socket, or TCP.
func (s *Sidecar) listen() error {
	set := s.cfg.Settings
	handed, err := activation.Listeners()
	switch {
	case err != nil:
		return fmt.Errorf("take the socket that systemd hands over: %w", err)
	case len(handed) > 1:
		for _, l := range handed {
			err = errors.Join(err, l.Close())
		}
		return errors.Join(fmt.Errorf("systemd hands over %d sockets: one was expected", len(handed)), err)
	case len(handed) == 1 && handed[0] == nil:
		return errors.New("systemd hands over something that is no stream socket: ListenStream= was expected")
	case len(handed) == 1:
		s.listener, s.handedOver = handed[0], true
	case set.APISocket != "":
		s.listener, err = listenUnix(set.APISocket)
	default:
		s.listener, err = listenTCP(net.JoinHostPort(set.APIBind, strconv.Itoa(set.APIPort)))
	}
	return err
}

// listenForEnvoy takes the address for Envoy, if the settings name one.
func (s *Sidecar) listenForEnvoy() (err error) {
	addr := s.cfg.Settings.ExtAuthz.Addr
	path, unix := strings.CutPrefix(addr, settings.UnixScheme)
	switch {
	case addr == "":
		return nil
	case s.cfg.Settings.ValidateOnly:
		return errors.New("--ext-authz-addr answers by decisions, and --validate-only makes none: leave one of them out")
	case unix:
		s.envoyListener, err = listenUnix(path)
	default:
		s.envoyListener, err = listenTCP(addr)
	}
	return err
}

func listenTCP(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr) //nolint:noctx // it does not wait
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, cause(err))
	}
	return l, nil
}

// longestSocketPath is what a socket's address holds on every Unix, its end mark left out.
const longestSocketPath = 103

// listenUnix listens on a socket that only its owner can reach. One that a process left behind which
// was killed is replaced; one that somebody listens on, or another kind of file, is not.
func listenUnix(path string) (net.Listener, error) {
	if len(path) > longestSocketPath {
		return nil, fmt.Errorf("listen on %s: the path of a socket has at most %d bytes", path, longestSocketPath)
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	case info.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("listen on %s: it is there and is no socket", path)
	default:
		if err := removeAbandoned(path); err != nil {
			return nil, err
		}
	}
	private := net.ListenConfig{Control: onlyForOwner}
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, cause(err))
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), l.Close())
	}
	return l, nil
}

// removeAbandoned removes a socket on which nobody listens, and no other: a process that is busy has
// its queue full, and one of another user may not be asked, so only a refusal says that nobody is there.
func removeAbandoned(path string) error {
	conn, err := net.Dial("unix", path) //nolint:noctx // it does not wait
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("listen on %s: address already in use", path), conn.Close())
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("listen on %s: a socket is there, and whether anybody listens on it cannot be told: %w", path, cause(err))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the socket of a process that is gone: %w", err)
	}
	return nil
}

// Addr is where the sidecar listens: host:port, or unix:PATH.
func (s *Sidecar) Addr() string { return address(s.listener) }

func address(l net.Listener) string {
	addr := l.Addr()
	if addr.Network() == "unix" {
		return settings.UnixScheme + absolute(addr.String())
	}
	return addr.String()
}

// EnvoyAddr is the address for Envoy, in the form of Addr; empty when there is none.
func (s *Sidecar) EnvoyAddr() string {
	if s.envoyListener == nil {
		return ""
	}
	return address(s.envoyListener)
}

// URL is where the sidecar is called.
func (s *Sidecar) URL() string {
	switch addr := s.Addr(); {
	case strings.HasPrefix(addr, settings.UnixScheme):
		return addr
	case s.cfg.Settings.TLSCert != "":
		return "https://" + addr
	default:
		return "http://" + addr
	}
}

// onlyLocal reports whether only this machine reaches a listener, and with it the token that a first
// start made.
func onlyLocal(l net.Listener) bool {
	switch addr := l.Addr().(type) {
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	default:
		return false
	}
}

// bindHost is the host that the listener was bound to: as the operator wrote it, for a socket that
// systemd handed over its address, and nothing for a Unix socket.
func (s *Sidecar) bindHost() string {
	tcp, ok := s.listener.Addr().(*net.TCPAddr)
	switch {
	case !ok:
		return ""
	case s.handedOver:
		return tcp.IP.String()
	default:
		return s.cfg.Settings.APIBind
	}
}
