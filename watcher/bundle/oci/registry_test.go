package oci

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// depot is a registry behind a door that tests may stand in.
type depot struct {
	*httptest.Server
	real http.Handler

	mu    sync.Mutex
	door  func(w http.ResponseWriter, r *http.Request) bool // reports whether it answered
	asked []string                                          // requests, but for those of pushes
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	d := &depot{real: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("User-Agent") == "push" {
		d.real.ServeHTTP(w, r)
		return
	}
	d.mu.Lock()
	door := d.door
	d.asked = append(d.asked, r.Method+" "+r.URL.Path)
	d.mu.Unlock()
	if door == nil || !door(w, r) {
		d.real.ServeHTTP(w, r)
	}
}

func (d *depot) stand(door func(w http.ResponseWriter, r *http.Request) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.door = door
}

// requests are those since the last call.
func (d *depot) requests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	return asked
}

func (d *depot) host() string { return strings.TrimPrefix(d.URL, "http://") }

func (d *depot) client(t *testing.T) *remote.Repository {
	t.Helper()
	to, err := remote.NewRepository(d.host() + "/team/authz")
	if err != nil {
		t.Fatal(err)
	}
	to.PlainHTTP = true
	to.Client = &auth.Client{Client: http.DefaultClient, Header: http.Header{"User-Agent": {"push"}}}
	return to
}

// push uploads layers as oras push does, and tags their manifest.
func (d *depot) push(t *testing.T, tag, mediaType string, layers ...string) ocispec.Descriptor {
	t.Helper()
	to := d.client(t)
	var all []ocispec.Descriptor
	for _, text := range layers {
		one, err := oras.PushBytes(t.Context(), to, mediaType, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	manifest, err := oras.PackManifest(t.Context(), to, oras.PackManifestVersion1_1, "application/vnd.example.bundle", oras.PackManifestOptions{Layers: all})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Tag(t.Context(), manifest, tag); err != nil {
		t.Fatal(err)
	}
	return manifest
}

// pushRaw uploads a manifest as it is.
func (d *depot) pushRaw(t *testing.T, tag, mediaType, text string) ocispec.Descriptor {
	t.Helper()
	of := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(text), Size: int64(len(text))}
	if err := d.client(t).PushReference(t.Context(), of, strings.NewReader(text), tag); err != nil {
		t.Fatal(err)
	}
	return of
}

// follow makes what asks for a tag.
func (d *depot) follow(t *testing.T, reference string) *Repository {
	t.Helper()
	return follow(t, Config{Reference: d.host() + "/team/authz" + reference, PlainHTTP: true, MaxBytes: 1 << 10})
}

func follow(t *testing.T, cfg Config) *Repository {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c, ok := r.remote.Client.(*auth.Client); ok {
			c.Client.Transport.(*guard).next.(*http.Transport).CloseIdleConnections()
		}
	})
	return r
}

// got is what an answer came to.
type got struct {
	code       int
	status     string
	etag, body string
	retryAfter string
}

func get(t *testing.T, r *Repository, etag string) (got, error) {
	t.Helper()
	header := http.Header{}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	answer, err := r.Get(context.Background(), header)
	if err != nil {
		return got{}, err
	}
	defer answer.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(answer.Body)
	return got{answer.StatusCode, answer.Status, answer.Header.Get("ETag"), body.String(), answer.Header.Get("Retry-After")}, err
}

func pool(server *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(server.Certificate())
	return p
}
