package sidecar_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/engine/bundle"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/download"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/rest"

	ocitest "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"go.uber.org/zap"
)

// harbor is a registry that asks for a password.
type harbor struct {
	*httptest.Server
	real  http.Handler
	blobs atomic.Int32 // layers that were sent to sidecars
	down  atomic.Bool  // it answers sidecars no more
}

func newHarbor(t *testing.T) *harbor {
	t.Helper()
	h := &harbor{real: ocitest.New(ocitest.Logger(log.New(io.Discard, "", 0)))}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *harbor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if user != "push" && (user != "ann" || password != "ses:ame") {
		w.Header().Set("WWW-Authenticate", `Basic realm="harbor"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if user == "ann" && h.down.Load() {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if user == "ann" && strings.Contains(r.URL.Path, "/blobs/") {
		h.blobs.Add(1)
	}
	h.real.ServeHTTP(w, r)
}

func (h *harbor) host() string { return strings.TrimPrefix(h.URL, "http://") }

// push does what oras push does with a bundle.
func (h *harbor) push(t *testing.T, tag string, files ...bundle.File) {
	t.Helper()
	to, err := remote.NewRepository(h.host() + "/team/authz")
	if err != nil {
		t.Fatal(err)
	}
	to.PlainHTTP = true
	to.Client = &auth.Client{Credential: auth.StaticCredential(h.host(), auth.Credential{Username: "push", Password: "x"})}
	var archive bytes.Buffer
	if err := bundle.Write(&archive, files, nil); err != nil {
		t.Fatal(err)
	}
	layer, err := oras.PushBytes(t.Context(), to, ocispec.MediaTypeImageLayerGzip, archive.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := oras.PackManifest(t.Context(), to, oras.PackManifestVersion1_1, "application/vnd.unknown.artifact.v1", oras.PackManifestOptions{Layers: []ocispec.Descriptor{layer}})
	if err == nil {
		err = to.Tag(t.Context(), manifest, tag)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func file(name, text string) bundle.File { return bundle.File{Path: name, Content: []byte(text)} }

func dockerConfig(t *testing.T, host string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": "YW5uOnNlczphbWU="}}}) // ann:ses:ame
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestABundleInARegistryIsFollowed(t *testing.T) {
	h, home, creds := newHarbor(t), t.TempDir(), filepath.Join(t.TempDir(), "creds")
	write := func(text string) {
		if err := os.WriteFile(creds, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ann:ses:ame\n")
	environment := map[string]string{
		"DEFENSECLAW_HOME": home, "DEFENSECLAW_SOURCE": "oci://" + h.host() + "/team/authz:prod",
		"DEFENSECLAW_SOURCE_CREDS": creds, "DEFENSECLAW_SOURCE_POLL": "2ms",
	}
	h.push(t, "prod", file(".manifest", `{"revision": "first"}`), file("p.rego", "package p\n\nx := data.system.bundles.authz.manifest.revision"))
	t.Run("tags move, and broken bundles are fetched once", func(t *testing.T) {
		set, _, _, _ := startWith(t, environment)
		client, err := clientOf(set)
		if err != nil {
			t.Fatal(err)
		}
		s, err := client.Status(t.Context())
		if one := s.Source.Bundles["authz"]; err != nil || s.State != "current" || one.Revision != "first" || !strings.HasPrefix(one.ETag, "sha256:") || answerOf(t, client) != `"first"` {
			t.Fatalf("%+v %+v %v", s, s.Source, err)
		}
		h.push(t, "prod", file(".manifest", `{"revision": "second"}`), file("p.rego", "package p\n\nx := data.system.bundles.authz.manifest.revision"))
		eventually(t, "the second serves", func() bool { return answerOf(t, client) == `"second"` })
		sent := h.blobs.Load()
		h.push(t, "prod", file("p.rego", "package p"), file("policy.wasm", "wasm"))
		eventually(t, "refused", func() bool {
			s, err := client.Status(t.Context())
			return err == nil && strings.Contains(s.Source.Bundles["authz"].Refused, "WebAssembly")
		})
		if _, err := client.Reload(t.Context()); err == nil || h.blobs.Load() != sent+1 || answerOf(t, client) != `"second"` {
			t.Error(err, h.blobs.Load()-sent, answerOf(t, client))
		}
	})
	h.push(t, "prod", file("p.rego", "package p\n\nx := 3"))
	t.Run("the password is the docker configuration's", func(t *testing.T) {
		write(dockerConfig(t, h.host()))
		set, _, _, _ := startWith(t, environment)
		if client, err := clientOf(set); err != nil || answerOf(t, client) != "3" {
			t.Error(err)
		}
	})
	t.Run("what is kept serves without the registry", func(t *testing.T) {
		write("ann:wrong")
		sent := h.blobs.Load()
		set, _, _, _ := startWith(t, environment)
		client, err := clientOf(set)
		if err != nil {
			t.Fatal(err)
		}
		s, err := client.Status(t.Context())
		if one := s.Source.Bundles["authz"]; err != nil || !strings.Contains(one.Error, "the server answered 401 Unauthorized") || one.ContactSeconds != nil || answerOf(t, client) != "3" {
			t.Errorf("%+v %v", one, err)
		}
		write("ann:ses:ame") // it is read again
		if _, err := client.Reload(t.Context()); err != nil || h.blobs.Load() != sent {
			t.Error(err, h.blobs.Load()-sent)
		}
	})
}

// TestOPAFollowsTheSameReference asks OPA's own downloader for what the sidecar follows.
func TestOPAFollowsTheSameReference(t *testing.T) {
	h := newHarbor(t)
	h.push(t, "v1", file(".manifest", `{"revision": "seven"}`), file("p.rego", "package p\n\nx := 7"))
	client, err := rest.New([]byte(`{"name": "harbor", "url": "`+h.URL+`", "type": "oci", "credentials": {"bearer": {"scheme": "Basic", "token": "ann:ses:ame"}}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	manual := plugins.TriggerManual
	config := download.Config{Trigger: &manual}
	if err := config.ValidateAndInjectDefaults(); err != nil {
		t.Fatal(err)
	}
	var theirs *opabundle.Bundle
	opa := download.NewOCI(config, client, h.host()+"/team/authz:v1", t.TempDir()).WithCallback(func(_ context.Context, u download.Update) error {
		theirs = u.Bundle
		return u.Error
	})
	if err := opa.Trigger(t.Context()); err != nil {
		t.Fatal(err)
	}
	creds := filepath.Join(t.TempDir(), "creds")
	if err := os.WriteFile(creds, []byte("ann:ses:ame"), 0o600); err != nil {
		t.Fatal(err)
	}
	set, _, _, _ := startWith(t, map[string]string{"DEFENSECLAW_SOURCE": "oci://" + h.host() + "/team/authz:v1", "DEFENSECLAW_SOURCE_CREDS": creds})
	ours, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ours.Status(t.Context())
	one := s.Source.Bundles["authz"]
	if err != nil || one.Revision != theirs.Manifest.Revision || one.ETag != "sha256:"+theirs.Etag || answerOf(t, ours) != "7" {
		t.Errorf("%+v, %v; OPA has %s, %s", one, err, theirs.Manifest, theirs.Etag)
	}
}

func TestTheConfigurationOfDockerLoginIsUsed(t *testing.T) {
	h, dir := newHarbor(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(dockerConfig(t, h.host())), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	h.push(t, "v1", file("p.rego", "package p\n\nx := 1"))
	set, _, _, _ := startWith(t, map[string]string{"DEFENSECLAW_SOURCE": "oci://" + h.host() + "/team/authz:v1"})
	if client, err := clientOf(set); err != nil || answerOf(t, client) != "1" {
		t.Error(err)
	}
}

func TestARegistryInOPAsConfigurationIsFollowed(t *testing.T) {
	h := newHarbor(t)
	h.push(t, "prod", file("p.rego", "package p\n\nx := 1"))
	set, _, _, _ := startWith(t, configured(t, `
services: {hub: {url: "`+h.URL+`", type: oci, credentials: {bearer: {scheme: Basic, token: "ann:ses:ame"}}}}
bundles: {authz: {resource: "registry.example.com/team/authz:prod", `+fast+`}}
`))
	client := clientFor(t, set)
	eventually(t, "the first serves", func() bool { return askFor(t, client, "p/x") == "1" })
	if one := statusOf(t, client).Source.Bundles["authz"]; !strings.HasPrefix(one.ETag, "sha256:") || h.blobs.Load() != 1 {
		t.Errorf("%+v; %d layers were sent", one, h.blobs.Load())
	}
	h.push(t, "prod", file("p.rego", "package p\n\nx := 2"))
	eventually(t, "the second serves", func() bool { return askFor(t, client, "p/x") == "2" })
	if n := h.blobs.Load(); n != 2 {
		t.Errorf("%d layers were sent, of two versions", n)
	}
}

func TestARegistryThatCannotBeAskedRefusesTheStart(t *testing.T) {
	for text, want := range map[string]string{
		`services: {hub: {url: "http://registry.example.com", type: oci}}
bundles: {b: {resource: "registry.example.com/a/b:prod"}}`: "https:// was expected",
		`services: {hub: {url: "https://registry.example.com", type: oci}}
bundles: {b: {}}`: "names no version",
		`services: {hub: {url: "https://registry.example.com", type: oci}}
bundles: {b: {resource: "b.tar.gz"}}`: "a reference like HOST/REPOSITORY:TAG was expected",
		`services: {hub: {url: "https://registry.example.com", type: oci}}
bundles: {b: {resource: "registry.example.com/a/b"}}`: "names no version",
		`services: {hub: {url: "https://registry.example.com", type: oci}}
bundles: {b: {resource: "registry.example.com/a/b:1"}}
status: {service: hub}`: "status.service is hub, which is a registry",
		`services: {hub: {url: "https://registry.example.com", type: oci}}
bundles: {b: {resource: "registry.example.com/a/b:1"}}
decision_logs: {service: hub}`: "decision_logs.service is hub, which is a registry",
	} {
		environment := configured(t, text, "DEFENSECLAW_HOME", t.TempDir(), "DEFENSECLAW_API_PORT", "0", "DEFENSECLAW_GATEWAY_TOKEN", token)
		set, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
		if err == nil {
			_, err = sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; %q was expected", text, err, want)
		}
	}
}
