package settings

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// An Endpoint is where commands reach the running sidecar.
type Endpoint struct {
	Addr   string      // HOST:PORT or unix:PATH
	TLS    *tls.Config // nil: plain HTTP
	Socket string      // path of the socket in the data directory of the same sidecar, to be tried first; empty: there is none
}

// LocalSocketPath is the path of the socket in the data directory.
func (s Settings) LocalSocketPath() string { return filepath.Join(s.DataDir, "sidecar.sock") }

// Endpoint returns the address that the settings name. Where they leave it at the default, or the
// port is 0, it is the address in gateway.json.
func (s Settings) Endpoint() (Endpoint, error) {
	published := s.published()
	e := Endpoint{Addr: published.APIAddr}
	switch {
	case s.APISocket != "":
		e.Addr = UnixScheme + s.APISocket
	case e.Addr == "" || s.AddrChosen && s.APIPort != 0:
		e.Addr = net.JoinHostPort(s.APIBind, strconv.Itoa(s.APIPort))
	}
	if s.LocalSocket && published.Socket != "" && published.isAt(e.Addr) {
		e.Socket = s.LocalSocketPath() // not as published: a relative path may be short enough for a socket when its absolute form is not
	}
	cert := cmp.Or(s.TLSCert, published.TLSCert)
	if cert == "" {
		return e, nil
	}
	var err error
	e.TLS, err = s.trust(cert)
	return e, err
}

// isAt reports whether the sidecar that published itself has an address that commands are to call. The settings may
// name another sidecar's.
func (g Gateway) isAt(addr string) bool {
	if path, ok := strings.CutPrefix(addr, UnixScheme); ok {
		abs, err := filepath.Abs(path)
		return err == nil && g.APIAddr == UnixScheme+abs
	}
	host, port, err := net.SplitHostPort(addr)
	ownHost, ownPort, ownErr := net.SplitHostPort(g.APIAddr)
	if err != nil || ownErr != nil || port != ownPort {
		return g.APIAddr == addr
	}
	ip, own := net.ParseIP(host), net.ParseIP(ownHost)
	switch {
	case host == ownHost, ip != nil && ip.Equal(own):
		return true
	case host == "", ip != nil && ip.IsUnspecified():
		return own.IsUnspecified() // one of the two families in the settings, both once it listens
	default:
		return host == "localhost" && own.IsLoopback()
	}
}

// trust accepts the sidecar's own certificate, even a self-signed one, in addition to the CAs of this
// machine. The expected name is taken from the certificate: commands call an address, which the
// certificate need not contain.
func (s Settings) trust(cert string) (*tls.Config, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // not every system has one
	}
	if err := AddCertificates(pool, cert); err != nil {
		return nil, fmt.Errorf("trust the sidecar's certificate: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: nameIn(cert)}
	if s.ClientCert == "" && s.ClientKey == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(s.ClientCert, s.ClientKey)
	if err != nil {
		return nil, fmt.Errorf("read --client-cert %s and --client-key %s: %w", s.ClientCert, s.ClientKey, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// AddCertificates adds the certificates in a PEM file to pool. A file without any is an error.
func AddCertificates(pool *x509.CertPool, path string) error {
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate in PEM form", path)
	}
	return nil
}

// nameIn returns the first name in the certificate of a file. It is empty when there is none; the
// handshake then fails.
func nameIn(path string) string {
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if err != nil {
		return ""
	}
	leaf := firstCertificate(text)
	switch {
	case leaf == nil:
		return ""
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String()
	}
	return ""
}

func firstCertificate(text []byte) *x509.Certificate {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			if leaf, err := x509.ParseCertificate(block.Bytes); err == nil {
				return leaf
			}
		}
	}
	return nil
}
