package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/client"
)

// published is what the sidecar of the tests wrote for its callers.
func published(t *testing.T, home string) (addr, token string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(home, "gateway.json"))
	if err != nil {
		t.Fatal(err)
	}
	var gateway struct {
		Addr string `json:"api_addr"`
	}
	if err := json.Unmarshal(text, &gateway); err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile(filepath.Join(home, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ = strings.Cut(strings.TrimSpace(string(env)), "=")
	return gateway.Addr, token
}

func TestASidecarIsFoundAsItsCommandsFindIt(t *testing.T) {
	need(t)
	home := os.Getenv("DEFENSECLAW_HOME")
	addr, token := published(t, home)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	credentials := t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "token"), []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg client.Config
		env map[string]string
	}{
		"by its home":                  {},
		"by its home that is given":    {client.Config{Home: home}, map[string]string{"DEFENSECLAW_HOME": t.TempDir()}},
		"over TCP":                     {env: map[string]string{"DEFENSECLAW_LOCAL_SOCKET": "false"}},
		"by an address that is given":  {client.Config{Addr: addr, Token: token}, map[string]string{"DEFENSECLAW_HOME": t.TempDir()}},
		"by variables":                 {env: map[string]string{"DEFENSECLAW_HOME": t.TempDir(), "DEFENSECLAW_API_PORT": port, "DEFENSECLAW_GATEWAY_TOKEN": token}},
		"by all variables":             {env: map[string]string{"DEFENSECLAW_HOME": t.TempDir(), "DEFENSECLAW_API_PORT": port, "DEFENSECLAW_API_BIND": "0.0.0.0", "OPENCLAW_GATEWAY_TOKEN": token}},
		"by the socket's variable":     {env: map[string]string{"DEFENSECLAW_HOME": t.TempDir(), "DEFENSECLAW_API_SOCKET": filepath.Join(home, "sidecar.sock")}},
		"by a unix address":            {client.Config{Addr: "unix:" + filepath.Join(home, "sidecar.sock")}, map[string]string{"DEFENSECLAW_HOME": t.TempDir()}},
		"by the service manager":       {env: map[string]string{"DEFENSECLAW_HOME": t.TempDir(), "DEFENSECLAW_API_PORT": port, "CREDENTIALS_DIRECTORY": credentials}},
		"by any listener, as is asked": {client.Config{Addr: addr, Token: token, AnyListener: true}, map[string]string{"DEFENSECLAW_LOCAL_SOCKET": "false"}},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			if allowed, err := open(t, c.cfg).Allowed(t.Context(), "app/allow", user{"ada"}); err != nil || !allowed {
				t.Errorf("%v, %v", allowed, err)
			}
		})
	}
}

func TestATokenGoesToNoListenerThatDoesNotHoldIt(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Method != http.MethodGet {
			t.Errorf("%s %s: %v", r.Method, r.URL, r.Header)
		}
		_, _ = io.WriteString(w, `{"proof":"00"}`)
	}))
	defer other.Close()
	t.Setenv("DEFENSECLAW_HOME", t.TempDir())
	c := open(t, client.Config{Addr: strings.TrimPrefix(other.URL, "http://"), Token: "secret"})
	var untrusted *client.UntrustedError
	if allowed, err := c.Allowed(t.Context(), "app/allow", nil); allowed || !errors.As(err, &untrusted) {
		t.Errorf("%v, %v", allowed, err)
	}
}

func TestAWrongTokenIsSaid(t *testing.T) {
	need(t)
	addr, _ := published(t, os.Getenv("DEFENSECLAW_HOME"))
	t.Setenv("DEFENSECLAW_HOME", t.TempDir())
	var untrusted *client.UntrustedError
	if _, err := open(t, client.Config{Addr: addr, Token: "wrong"}).Ask(t.Context(), "app/allow", nil); !errors.As(err, &untrusted) || !strings.Contains(err.Error(), "is the token wrong?") {
		t.Errorf("%v", err)
	}
	for _, token := range []string{"wrong", ""} {
		var answered *client.Error
		if _, err := open(t, client.Config{Addr: addr, Token: token, AnyListener: true}).Ask(t.Context(), "app/allow", nil); !errors.As(err, &answered) || answered.StatusCode != 401 {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestTLSIsFoundWithTheSidecar(t *testing.T) {
	need(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, cert, key)
	home := filepath.Join(dir, "home")
	stop, err := serve(home, "--tls-cert", cert, "--tls-key", key)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	t.Setenv("DEFENSECLAW_LOCAL_SOCKET", "false")
	if allowed, err := open(t, client.Config{Home: home}).Allowed(t.Context(), "app/allow", user{"ada"}); err != nil || !allowed {
		t.Errorf("%v, %v", allowed, err)
	}
	addr, token := published(t, home)
	t.Setenv("DEFENSECLAW_HOME", t.TempDir())
	if _, err := open(t, client.Config{Addr: addr, Token: token}).Ask(t.Context(), "app/allow", nil); err == nil {
		t.Error("plain HTTP was answered")
	}
	t.Setenv("DEFENSECLAW_TLS_CERT", filepath.Join(dir, "none.pem"))
	if _, err := client.New(client.Config{}); err == nil || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("a certificate that is not there: %v", err)
	}
}

// writePair writes a certificate that signs itself.
func writePair(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sidecar"}, DNSNames: []string{"sidecar.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
