package sidecar

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strconv"

	"defenseclaw/api"
)

// Client makes a client of the running sidecar: at the address that the settings name or, where
// nobody chose, or the port was left open, where gateway.json says that it listens.
func (s Settings) Client(token string) (*api.Client, error) {
	running := s.running()
	client := &api.Client{Addr: running.APIAddr, Token: token}
	if s.TLSCert == "" && running.TLSCert == "" {
		return client, nil
	}
	cert := s.TLSCert
	if cert == "" {
		cert = running.TLSCert
	}
	config, err := s.trust(cert)
	if err != nil {
		return nil, err
	}
	client.TLS = config
	return client, nil
}

// running is where the sidecar is, as far as settings and gateway.json know.
func (s Settings) running() api.GatewayFile {
	var published api.GatewayFile
	text, err := os.ReadFile(gatewayFile(s.DataDir))
	if err != nil || json.Unmarshal(text, &published) != nil {
		published = api.GatewayFile{}
	}
	switch {
	case s.APISocket != "":
		published.APIAddr = unixScheme + s.APISocket
	case published.APIAddr == "" || s.AddrChosen && s.APIPort != 0:
		published.APIAddr = net.JoinHostPort(s.APIBind, strconv.Itoa(s.APIPort))
	}
	return published
}

// trust is for the sidecar's own certificate, whoever signed it, and what this machine trusts. The
// name is the certificate's: commands call the address, which it need not tell.
func (s Settings) trust(cert string) (*tls.Config, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // there are systems without one
	}
	if pool, err = readPool(pool, cert); err != nil {
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

// nameIn is the first name that the certificate in a file is for; empty for none, which is an error
// of the handshake.
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
