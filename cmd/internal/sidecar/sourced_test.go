package sidecar_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/cmd/internal/testutil/opabundles"
)

// registry serves one bundle, and asks for a token.
type registry struct {
	*httptest.Server
	mu      sync.Mutex
	bundle  []byte
	etag    string
	sent    int // bundles
	strange int // requests without the token
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{}
	r.Server = httptest.NewTLSServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.Header.Get("Authorization") != "Bearer sesame" || in.URL.RequestURI() != "/authz/bundle.tar.gz?v=1" {
		r.strange++
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	w.Header().Set("ETag", r.etag)
	if in.Header.Get("If-None-Match") == r.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	r.sent++
	_, _ = w.Write(r.bundle)
}

// publish makes a bundle of files.
func (r *registry) publish(t *testing.T, etag string, files ...[2]string) {
	t.Helper()
	archive := opabundles.Packed(t, files...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bundle, r.etag = archive, etag
}

func (r *registry) sends() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent
}

// follow is the environment of a sidecar that follows the registry.
func (r *registry) follow(t *testing.T, home string) map[string]string {
	t.Helper()
	creds, ca := filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(creds, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"DEFENSECLAW_HOME": home, "DEFENSECLAW_SOURCE": r.URL + "/authz/bundle.tar.gz?v=1", "DEFENSECLAW_SOURCE_CREDS": creds,
		"DEFENSECLAW_SOURCE_CA": ca, "DEFENSECLAW_SOURCE_POLL": "2ms",
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !testutil.Eventually(ok) {
		t.Fatal("still not: ", what)
	}
}

func policyOf(n string) [2]string { return [2]string{"p.rego", "package p\n\nx := " + n} }

func answerOf(t *testing.T, client *api.Client) string {
	t.Helper()
	answer, err := client.Data(t.Context(), []string{"p", "x"}, nil, nil)
	if err != nil || answer.Result == nil {
		return fmt.Sprint(err)
	}
	return string(*answer.Result)
}

func TestABundleIsFollowedAsADirectoryIs(t *testing.T) {
	web := newRegistry(t)
	web.publish(t, `"1"`, [2]string{".manifest", `{"revision": "first"}`}, policyOf("1"))
	set, _, logged, _ := startWith(t, web.follow(t, t.TempDir()))
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	status := func() api.StatusAnswer {
		s, err := client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := status(); s.State != "current" || s.PolicyFrom != "source" || s.Source == nil || s.Source.Bundles["bundle"].Revision != "first" {
		t.Fatalf("%+v %+v", s, s.Source)
	}
	first := status().Revision

	web.publish(t, `"2"`, policyOf("2"))
	eventually(t, "the second serves", func() bool { return strings.Contains(answerOf(t, client), "2") })
	if s := status(); s.LastReload.Actor != "source: "+set.Source.URL || s.Generation != 2 {
		t.Errorf("%+v", s)
	}

	// A broken one is fetched once, and its error has a place.
	sent := web.sends()
	web.publish(t, `"3"`, [2]string{"p.rego", "package p\n\nx := oops"})
	eventually(t, "stale", func() bool { return status().State == "stale" })
	if s := status(); len(s.LastReload.Diagnostics) != 1 || s.LastReload.Diagnostics[0].File != "p.rego" || !strings.Contains(answerOf(t, client), "2") {
		t.Errorf("%+v", s.LastReload)
	}
	if n := web.sends() - sent; n != 1 {
		t.Error("it was sent", n, "times")
	}

	// So is one that is no bundle.
	web.mu.Lock()
	web.bundle, web.etag = []byte("no archive"), `"4"`
	web.mu.Unlock()
	eventually(t, "refused", func() bool {
		b := status().Source.Bundles["bundle"]
		return b.ETag == `"4"` && b.Refused != ""
	})
	if _, err := client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "bundle bundle: it is not gzipped: ") {
		t.Error(err)
	}

	// A reload that is asked for serves what is there at that moment.
	web.publish(t, `"5"`, policyOf("1"))
	if _, err := client.Reload(t.Context()); err != nil || !strings.Contains(answerOf(t, client), "1") {
		t.Error(err, answerOf(t, client))
	}
	if s := status(); s.Revision == first || s.State != "current" {
		t.Errorf("%+v", s) // the manifest is policy's to see, so its revision counts
	}
	if _, err := client.Order(t.Context(), "rollback", api.ControlRequest{To: first}); err != nil || status().Revision != first {
		t.Error(err, status().Revision)
	}
	if logged.FilterMessage("source refused").Len() != 1 {
		t.Error(logged.All())
	}
}

func TestWhatWasFetchedServesWithoutTheServer(t *testing.T) {
	home, web := t.TempDir(), newRegistry(t)
	web.publish(t, `"1"`, policyOf("1"))
	environment := web.follow(t, home)
	t.Run("first run", func(t *testing.T) { startWith(t, environment) })
	t.Run("the server knows no news", func(t *testing.T) {
		set, _, _, _ := startWith(t, environment)
		client, err := clientOf(set)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := client.Status(t.Context()); err != nil || s.State != "current" || s.Source.Bundles["bundle"].ContactSeconds == nil || web.sends() != 1 {
			t.Errorf("%+v %v; sent %d times", s.Source, err, web.sends())
		}
	})
	web.Close()
	t.Run("the server is gone", func(t *testing.T) {
		set, _, _, _ := startWith(t, environment)
		client, err := clientOf(set)
		if err != nil {
			t.Fatal(err)
		}
		s, err := client.Status(t.Context())
		if one := s.Source.Bundles["bundle"]; err != nil || one.Error == "" || one.ContactSeconds != nil || !strings.Contains(answerOf(t, client), "1") {
			t.Errorf("%+v %v", one, err)
		}
	})
}

// TestOnlyABundleThatATrustedKeySignedServes signs as OPA does.
func TestOnlyABundleThatATrustedKeySignedServes(t *testing.T) {
	web, secret := newRegistry(t), filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(opabundles.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := web.follow(t, t.TempDir())
	environment["DEFENSECLAW_SIGNATURE_KEYS"], environment["DEFENSECLAW_SIGNATURE_SCOPE"] = "ours:HS256="+secret, "authz"

	web.publish(t, `"1"`, signed(t, "authz", policyOf("1"))...)
	set, _, _, _ := startWith(t, environment)
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	if got := answerOf(t, client); got != "1" {
		t.Fatal(got)
	}
	refused := func() string {
		s, err := client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Source.Bundles["bundle"].Refused
	}
	for etag, files := range map[string][][2]string{
		`"stripped"`:          {policyOf("2")},
		`"changed"`:           {signed(t, "authz", policyOf("2"))[0], policyOf("3")},
		`"a file more"`:       append(signed(t, "authz", policyOf("2")), [2]string{"q.rego", "package q"}),
		`"for another scope"`: signed(t, "other", policyOf("2")),
	} {
		web.publish(t, etag, files...)
		if _, err := client.Reload(t.Context()); err == nil || refused() == "" || answerOf(t, client) != "1" {
			t.Error(etag, err, refused(), answerOf(t, client))
		}
	}
	web.publish(t, `"2"`, signed(t, "authz", policyOf("2"))...)
	if _, err := client.Reload(t.Context()); err != nil || refused() != "" || answerOf(t, client) != "2" {
		t.Error(err, refused(), answerOf(t, client))
	}
	if _, err := client.Order(t.Context(), "rollback", api.ControlRequest{}); err != nil || answerOf(t, client) != "1" {
		t.Error(err, answerOf(t, client))
	}
}

// signed is a bundle of one file with its signature, as opa sign makes it.
func signed(t *testing.T, scope string, file [2]string) [][2]string {
	t.Helper()
	return opabundles.Signed(t, scope, file)
}
