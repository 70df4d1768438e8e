package client

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultTimeout bounds a call of a [Client] whose [Config] has no Timeout. It is longer than the sidecar's default for a
// decision, a second.
const DefaultTimeout = 5 * time.Second

// DefaultAddr is where a sidecar listens that was not told otherwise.
const DefaultAddr = "127.0.0.1:18970"

const unixScheme = "unix:"

// Config says whom to ask. Each field that is empty is found as the commands of the sidecar find it.
type Config struct {
	// Home is the sidecar's data directory. Empty: $DEFENSECLAW_HOME, else .defenseclaw in the user's home.
	Home string

	// Addr is host:port, or unix:PATH. Empty: $DEFENSECLAW_API_SOCKET, or $DEFENSECLAW_API_BIND with $DEFENSECLAW_API_PORT, else
	// what a running sidecar wrote into gateway.json in its data directory, else [DefaultAddr].
	//
	// Where it is the address of the sidecar that wrote gateway.json, or is empty, the socket in the data directory is preferred,
	// unless $DEFENSECLAW_LOCAL_SOCKET is false.
	Addr string

	// Token is what the sidecar wants to see. Empty: $DEFENSECLAW_GATEWAY_TOKEN, else the file token in $CREDENTIALS_DIRECTORY, else
	// DEFENSECLAW_GATEWAY_TOKEN in .env in the data directory; OPENCLAW_GATEWAY_TOKEN after each of the two. Without any token, only the socket in
	// the data directory answers, to the sidecar's user and to root.
	Token string

	// TLS is for a sidecar that serves TLS. Nil: TLS if $DEFENSECLAW_TLS_CERT or gateway.json names a certificate, which is trusted in
	// addition to the CAs of this machine, with the client certificate of $DEFENSECLAW_CLIENT_CERT and $DEFENSECLAW_CLIENT_KEY.
	TLS *tls.Config

	// AnyListener sends the token over plain HTTP without proof that the sidecar listens, such as to another machine on a network that
	// is trusted. $DEFENSECLAW_ANY_LISTENER=true does the same.
	AnyListener bool

	// Timeout is of a call, with what is tried again; the context of a call may end it sooner. 0: [DefaultTimeout].
	Timeout time.Duration
}

// gateway is what a running sidecar writes into gateway.json.
type gateway struct {
	Addr    string `json:"api_addr"`
	TLSCert string `json:"tls_cert"`
	Socket  string `json:"socket"`
}

// target is whom to ask.
type target struct {
	addr   string      // host:port, or unix:PATH
	socket string      // of the same sidecar, preferred; empty: none
	tls    *tls.Config // nil: plain HTTP
	token  string
}

func (cfg Config) find() (t target, err error) {
	home, err := cfg.home()
	if err != nil {
		return t, err
	}
	published := publishedIn(home)
	t.addr = cmp.Or(cfg.Addr, addrOfEnvironment(), published.Addr, DefaultAddr)
	local := !strings.EqualFold(os.Getenv("DEFENSECLAW_LOCAL_SOCKET"), "false")
	if local && published.Socket != "" && sameAddr(t.addr, published.Addr) {
		t.socket = filepath.Join(home, "sidecar.sock")
	}
	if t.token = cfg.Token; t.token == "" {
		if t.token, err = tokenOf(home); err != nil {
			return t, err
		}
	}
	if t.tls = cfg.TLS; t.tls == nil {
		cert := os.Getenv("DEFENSECLAW_TLS_CERT")
		if cert == "" && sameAddr(t.addr, published.Addr) {
			cert = published.TLSCert
		}
		if cert != "" {
			t.tls, err = trusting(cert)
		}
	}
	return t, err
}

// publishedIn is what a sidecar wrote, and empty where none did or the file is another user's: then the address is the default.
func publishedIn(home string) (g gateway) {
	text, err := os.ReadFile(filepath.Join(home, "gateway.json")) //nolint:gosec // the sidecar's own file
	if err != nil || json.Unmarshal(text, &g) != nil {
		return gateway{}
	}
	return g
}

func (cfg Config) home() (string, error) {
	if home := cmp.Or(cfg.Home, os.Getenv("DEFENSECLAW_HOME")); home != "" {
		return home, nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the sidecar's data directory: set DEFENSECLAW_HOME: %w", err)
	}
	return filepath.Join(user, ".defenseclaw"), nil
}

// addrOfEnvironment is empty where the variables leave the address to the sidecar.
func addrOfEnvironment() string {
	if path := os.Getenv("DEFENSECLAW_API_SOCKET"); path != "" {
		return unixScheme + path
	}
	bind, port := os.Getenv("DEFENSECLAW_API_BIND"), os.Getenv("DEFENSECLAW_API_PORT")
	if bind == "" && port == "" || port == "0" {
		return ""
	}
	return net.JoinHostPort(cmp.Or(bind, "127.0.0.1"), cmp.Or(port, "18970"))
}

// sameAddr reports whether two addresses are of one listener.
func sameAddr(a, b string) bool {
	if a == b {
		return true
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB && isLocal(hostA) && isLocal(hostB)
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

const (
	tokenVariable  = "DEFENSECLAW_GATEWAY_TOKEN" //nolint:gosec // a name
	legacyVariable = "OPENCLAW_GATEWAY_TOKEN"    //nolint:gosec // a name
)

// tokenOf finds the token; it is empty if there is none.
func tokenOf(home string) (string, error) {
	if token := os.Getenv(tokenVariable); token != "" {
		return token, nil
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		text, err := os.ReadFile(filepath.Join(dir, "token")) //nolint:gosec // the service manager's directory
		if err == nil {
			return strings.TrimSpace(string(text)), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read the token: %w", err)
		}
	}
	text, err := os.ReadFile(filepath.Join(home, ".env")) //nolint:gosec // the sidecar's own file
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return cmp.Or(envValue(string(text), tokenVariable), os.Getenv(legacyVariable), envValue(string(text), legacyVariable)), nil
}

// envValue is the last value of a variable in a file of NAME=VALUE lines.
func envValue(text, name string) (value string) {
	for line := range strings.Lines(text) {
		key, v, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok && strings.TrimSpace(key) == name {
			value = strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return value
}

// trusting accepts the sidecar's own certificate, even a self-signed one. The expected name is the certificate's, since an
// address is called, which it need not contain.
func trusting(cert string) (*tls.Config, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // not every system has one
	}
	text, err := os.ReadFile(cert) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, fmt.Errorf("trust the sidecar's certificate: %w", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("trust the sidecar's certificate: %s holds no certificate in PEM form", cert)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: nameIn(text)}
	own, key := os.Getenv("DEFENSECLAW_CLIENT_CERT"), os.Getenv("DEFENSECLAW_CLIENT_KEY")
	if own == "" && key == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(own, key)
	if err != nil {
		return nil, fmt.Errorf("read DEFENSECLAW_CLIENT_CERT %s and DEFENSECLAW_CLIENT_KEY %s: %w", own, key, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

func nameIn(text []byte) string {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		leaf, err := x509.ParseCertificate(block.Bytes)
		switch {
		case block.Type != "CERTIFICATE" || err != nil:
		case len(leaf.DNSNames) > 0:
			return leaf.DNSNames[0]
		case len(leaf.IPAddresses) > 0:
			return leaf.IPAddresses[0].String()
		}
	}
	return ""
}
