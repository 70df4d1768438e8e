package sidecar_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/cmd/internal/testutil"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// authority is a CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{key: newKey(t)}
	a.cert = sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, a.key, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue writes a certificate and its key.
func (a *authority) issue(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key := newKey(t)
	cert := sign(t, &x509.Certificate{
		DNSNames: []string{"sidecar.test"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	replace(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

func (a *authority) write(t *testing.T, file string) {
	t.Helper()
	replace(t, file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

func replace(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// startWith runs a sidecar with these environment variables until the test ends. A client is made from the
// returned settings.
func startWith(t *testing.T, environment map[string]string) (settings.Settings, *sidecar.Sidecar, *observer.ObservedLogs, chan<- os.Signal) {
	t.Helper()
	return startUntilLeaving(t, environment, nil)
}

// startUntilLeaving is startWith for a sidecar that leaves when the channel is closed.
func startUntilLeaving(
	t *testing.T, environment map[string]string, leaving <-chan struct{},
) (settings.Settings, *sidecar.Sidecar, *observer.ObservedLogs, chan<- os.Signal) {
	t.Helper()
	top := t.TempDir()
	all := map[string]string{"DEFENSECLAW_HOME": top, "DEFENSECLAW_API_PORT": "0", "DEFENSECLAW_GATEWAY_TOKEN": token}
	maps.Copy(all, environment)
	getenv := func(name string) string { return all[name] }
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, getenv)
	if err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zap.InfoLevel)
	hup := make(chan os.Signal, 1)
	s, err := sidecar.New(sidecar.Config{Settings: set, HUP: hup, Leaving: leaving, Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return set, s, logged, hup
}

// clientOf makes a client as commands do.
func clientOf(set settings.Settings) (*api.Client, error) {
	endpoint, err := set.Endpoint()
	return &api.Client{Addr: endpoint.Addr, TLS: endpoint.TLS, Token: token}, err
}

func status(t *testing.T, set settings.Settings) error {
	t.Helper()
	client, err := clientOf(set)
	if err != nil {
		return err
	}
	_, err = client.Status(t.Context())
	return err
}

// served returns the serial number of the certificate that a handshake presents.
func served(t *testing.T, addr string) string {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", addr) //nolint:gosec // it only looks
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String() //nolint:forcetypeassert // a TLS dialer's
}

func TestARenewedCertificateServesAndABrokenOneDoesNot(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	a := newAuthority(t)
	a.issue(t, cert, key)
	set, s, logged, _ := startWith(t, map[string]string{"DEFENSECLAW_TLS_CERT": cert, "DEFENSECLAW_TLS_KEY": key})
	if err := status(t, set); err != nil {
		t.Fatal(err)
	}
	// Commands that are given only the data directory find it too.
	elsewhere := set
	elsewhere.TLSCert, elsewhere.TLSKey = "", ""
	if err := status(t, elsewhere); err != nil {
		t.Error(err)
	}
	plain := &api.Client{Addr: s.Addr(), Token: token, Timeout: patience}
	if _, err := plain.Status(t.Context()); err == nil {
		t.Error("it answers without TLS")
	}
	first := served(t, s.Addr())

	replace(t, key, []byte("half a ke"))
	wait(t, "it says that they do not fit", func() bool {
		_ = served(t, s.Addr())
		return logged.FilterMessageSnippet("do not fit together").Len() > 0
	})
	if got := served(t, s.Addr()); got != first {
		t.Error("another certificate serves than before")
	}
	a.issue(t, cert, key)
	wait(t, "the renewed one serves", func() bool { return served(t, s.Addr()) != first })
	if err := status(t, set); err != nil {
		t.Error(err)
	}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !testutil.Eventually(ok) {
		t.Fatalf("not within %s: %s", testutil.Patience, what)
	}
}

func TestCallersNeedACertificateOfTheAuthority(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	a, other := newAuthority(t), newAuthority(t)
	a.issue(t, in("tls.crt"), in("tls.key"))
	a.issue(t, in("client.crt"), in("client.key"))
	other.issue(t, in("other.crt"), in("other.key"))
	a.write(t, in("ca.crt"))
	set, _, _, _ := startWith(t, map[string]string{
		"DEFENSECLAW_TLS_CERT": in("tls.crt"), "DEFENSECLAW_TLS_KEY": in("tls.key"), "DEFENSECLAW_CLIENT_CA": in("ca.crt"),
	})
	if err := status(t, set); err == nil {
		t.Error("a caller without a certificate is let in")
	}
	set.ClientCert, set.ClientKey = in("other.crt"), in("other.key")
	if err := status(t, set); err == nil {
		t.Error("a caller with a certificate of another authority is let in")
	}
	set.ClientCert, set.ClientKey = in("client.crt"), in("client.key")
	if err := status(t, set); err != nil {
		t.Error(err)
	}
}

func TestTLSFilesThatDoNotFitTogetherAreRefused(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	a := newAuthority(t)
	a.issue(t, in("tls.crt"), in("tls.key"))
	replace(t, in("empty"), nil)
	for _, tt := range []struct{ cert, key, ca, want string }{
		{in("tls.crt"), "", "", "TLS needs both --tls-cert and --tls-key"},
		{"", "", in("tls.crt"), "TLS needs both"},
		{in("gone"), in("tls.key"), "", "gone: no such file"},
		{in("tls.key"), in("tls.crt"), "", "read --tls-cert"},
		{in("tls.crt"), in("tls.key"), in("empty"), "read --client-ca: " + in("empty") + " holds no certificate in PEM form"},
	} {
		environment := map[string]string{
			"DEFENSECLAW_HOME": t.TempDir(), "DEFENSECLAW_API_PORT": "0", "DEFENSECLAW_TLS_CERT": tt.cert, "DEFENSECLAW_TLS_KEY": tt.key, "DEFENSECLAW_CLIENT_CA": tt.ca,
		}
		getenv := func(name string) string { return environment[name] }
		set, err := settings.Resolve(func(string) (string, bool) { return "", false }, getenv)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v; want %q", err, tt.want)
		}
	}
}

// TestSystemdIsNotified as Type=notify-reload asks for.
func TestSystemdIsNotified(t *testing.T) {
	dir := t.TempDir()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Skipf("no datagram sockets here: %v", err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "notify"))
	policy := filepath.Join(dir, "pol")
	if err := os.Mkdir(policy, 0o700); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(policy, "p.rego"), []byte("package p\nx := 1\n"))
	notified := func() string {
		t.Helper()
		buffer := make([]byte, 4096)
		if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := socket.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("systemd got no notification")
		}
		return string(buffer[:n])
	}
	t.Run("running", func(t *testing.T) {
		set, _, _, hup := startWith(t, map[string]string{"DEFENSECLAW_POLICY_DIR": policy, "DEFENSECLAW_WATCH": "false"})
		if got := notified(); got != "READY=1\nSTATUS=current" {
			t.Errorf("%q", got)
		}
		replace(t, filepath.Join(policy, "p.rego"), []byte("package p\nx := := 1\n"))
		hup <- os.Interrupt
		if got := notified(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
			t.Errorf("%q", got)
		}
		if got := notified(); !strings.HasPrefix(got, "READY=1\nSTATUS=stale: p.rego:2:6: ") || strings.Count(got, "\n") != 1 {
			t.Errorf("%q", got)
		}
		// A reload that systemd did not ask for changes what it shows as well.
		replace(t, filepath.Join(policy, "p.rego"), []byte("package p\nx := 2\n"))
		client, err := clientOf(set)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		if got := notified(); got != "STATUS=current" {
			t.Errorf("%q", got)
		}
	})
	if got := notified(); got != "STOPPING=1\nSTATUS=draining requests" {
		t.Errorf("%q", got)
	}
}

// TestARunningSidecarSendsKeepAlives to systemd's watchdog.
func TestARunningSidecarSendsKeepAlives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skipf("no datagram sockets here: %v", err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	startWith(t, nil)
	if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for received, buffer := 0, make([]byte, 4096); received < 3; {
		n, err := socket.Read(buffer)
		if err != nil {
			t.Fatalf("%d keep-alives: %v", received, err)
		}
		if string(buffer[:n]) == "WATCHDOG=1" {
			received++
		}
	}
}
