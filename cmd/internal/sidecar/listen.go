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

	"defenseclaw/api/gate"
	"defenseclaw/cmd/internal/settings"

	"github.com/coreos/go-systemd/v22/activation"
	"go.uber.org/zap"
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
		s.listener = handed[0]
		if tcp, ok := s.listener.Addr().(*net.TCPAddr); ok {
			s.bindHost = tcp.IP.String()
		}
	case set.APISocket != "":
		s.listener, err = listenUnix(set.APISocket)
	default:
		s.bindHost = set.APIBind // as the operator wrote it, for messages
		s.listener, err = listenTCP(net.JoinHostPort(set.APIBind, strconv.Itoa(set.APIPort)))
	}
	return err
}

// listenLocally takes the socket in the data directory, on which the users whom the kernel vouches for need no token.
// Without it everything works over the address, so it is only a warning that there is none.
func (s *Sidecar) listenLocally() {
	set := s.cfg.Settings
	if !set.LocalSocket || !gate.PeersAreKnown {
		return
	}
	l, err := listenUnix(set.LocalSocketPath())
	if err != nil {
		s.cfg.Logger.Warn("there is no Unix socket in the data directory: commands use the address", zap.Error(err))
		return
	}
	s.local = l
}

var errEnvoyValidates = errors.New("--ext-authz-addr answers by decisions, and --validate-only makes none: leave one of them out")

// listenForEnvoy takes the address for Envoy, if the settings name one.
func (s *Sidecar) listenForEnvoy() (err error) {
	addr := s.cfg.Settings.ExtAuthz.Addr
	path, unix := strings.CutPrefix(addr, settings.UnixScheme)
	switch {
	case addr == "":
		return nil
	case s.cfg.Settings.ValidateOnly:
		return errEnvoyValidates
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

// maxSocketPath is the length that fits into a socket's address on every Unix, without the final zero.
const maxSocketPath = 103

// listenUnix listens on a socket that only its owner can reach. It replaces a socket that a killed
// process left behind, but neither one with a listener nor another kind of file.
func listenUnix(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen on %s: the path of a socket has at most %d bytes", path, maxSocketPath)
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

// removeAbandoned removes a socket without a listener. Only a refused connection proves that there is
// none: a busy listener has a full queue, and a socket of another user cannot be connected to.
func removeAbandoned(path string) error {
	conn, err := net.Dial("unix", path) //nolint:noctx // it does not wait
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("listen on %s: address already in use", path), conn.Close())
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("listen on %s: a socket is there, and it is unclear whether a process listens on it: %w", path, cause(err))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the socket of a process that is gone: %w", err)
	}
	return nil
}

// Addr is the address that the sidecar listens on: host:port, or unix:PATH.
func (s *Sidecar) Addr() string { return address(s.listener) }

func address(l net.Listener) string {
	addr := l.Addr()
	if addr.Network() == "unix" {
		return settings.UnixScheme + absolute(addr.String())
	}
	return addr.String()
}

// LocalAddr is the address of the socket in the data directory, in the form of Addr; empty when there is none.
func (s *Sidecar) LocalAddr() string {
	if s.local == nil {
		return ""
	}
	return address(s.local)
}

// EnvoyAddr is the address for Envoy, in the form of Addr; empty when there is none.
func (s *Sidecar) EnvoyAddr() string {
	if s.envoyListener == nil {
		return ""
	}
	return address(s.envoyListener)
}

// URL is the base URL of the API.
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

// OnlyLocal reports whether a listener can be reached from this machine only.
func OnlyLocal(l net.Listener) bool {
	switch addr := l.Addr().(type) {
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	default:
		return false
	}
}
