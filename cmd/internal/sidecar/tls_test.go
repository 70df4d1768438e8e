package sidecar_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
)

// TestHTTP2IsSpokenOverTLS to clients that offer it.
func TestHTTP2IsSpokenOverTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	newAuthority(t).issue(t, cert, key)
	_, s, _, _ := startWith(t, map[string]string{"DEFENSECLAW_TLS_CERT": cert, "DEFENSECLAW_TLS_KEY": key})
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it only looks
	defer transport.CloseIdleConnections()
	for _, path := range []string{"/health", "/policy/status"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", path, response.Proto, response.Status)
		}
	}
}

// TestARemovedAuthorityLetsNoCallerIn, not even one with a session from before: it is not resumed.
func TestARemovedAuthorityLetsNoCallerIn(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	old, renewed := newAuthority(t), newAuthority(t)
	old.issue(t, in("tls.crt"), in("tls.key"))
	old.issue(t, in("client.crt"), in("client.key"))
	old.write(t, in("ca.crt"))
	_, s, _, _ := startWith(t, map[string]string{
		"DEFENSECLAW_TLS_CERT": in("tls.crt"), "DEFENSECLAW_TLS_KEY": in("tls.key"), "DEFENSECLAW_CLIENT_CA": in("ca.crt"),
	})
	pair, err := tls.LoadX509KeyPair(in("client.crt"), in("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		old.write(t, in("ca.crt"))
		sessions := tls.NewLRUClientSessionCache(1)
		health := func() (resumed bool, err error) {
			transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
				InsecureSkipVerify: true, ServerName: "sidecar.test", Certificates: []tls.Certificate{pair}, //nolint:gosec // the server is not in question
				MaxVersion: version, ClientSessionCache: sessions,
			}}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/health", nil)
			if err != nil {
				return false, err
			}
			response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
			if err != nil {
				return false, err
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				return false, fmt.Errorf("status %d", response.StatusCode)
			}
			return response.TLS.DidResume, nil
		}
		wait(t, "its authority lets the caller in", func() bool { _, err := health(); return err == nil })
		wait(t, "its session is resumed", func() bool { resumed, err := health(); return err == nil && resumed })
		renewed.write(t, in("ca.crt"))
		wait(t, "a certificate of the removed authority is refused", func() bool { _, err := health(); return err != nil })
		if resumed, err := health(); err == nil {
			t.Errorf("%s: let in again, resumed %v", tls.VersionName(version), resumed)
		}
	}
}
