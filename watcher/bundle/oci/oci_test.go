package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
)

const gzipped = ocispec.MediaTypeImageLayerGzip

func TestATagIsAskedForLikeAURL(t *testing.T) {
	d := newDepot(t)
	d.push(t, "v1", gzipped, "one")
	r := d.follow(t, ":v1")
	first, err := get(t, r, "")
	if err != nil || first.code != http.StatusOK || first.body != "one" || first.etag != digest.FromString("one").String() {
		t.Fatalf("%+v, %v", first, err)
	}
	d.requests()
	same, err := get(t, r, first.etag)
	if err != nil || same.code != http.StatusNotModified || same.body != "" {
		t.Errorf("%+v, %v", same, err)
	}
	if asked := d.requests(); !slices.Equal(asked, []string{"HEAD /v2/team/authz/manifests/v1"}) {
		t.Errorf("for no news: %q", asked)
	}
	d.push(t, "v1", gzipped, "two", "another layer")
	second, err := get(t, r, first.etag)
	if err != nil || second.code != http.StatusOK || second.body != "two" {
		t.Errorf("%+v, %v", second, err)
	}
	// Another manifest with the same layer is no news.
	d.push(t, "v1", gzipped, "two")
	if again, err := get(t, r, second.etag); err != nil || again.code != http.StatusNotModified {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestADigestIsAReference(t *testing.T) {
	d := newDepot(t)
	first := d.push(t, "v1", gzipped, "one")
	d.push(t, "v1", gzipped, "two")
	for _, reference := range []string{"@" + first.Digest.String(), ":v1@" + first.Digest.String()} {
		if got, err := get(t, d.follow(t, reference), ""); err != nil || got.body != "one" {
			t.Errorf("%s: %+v, %v", reference, got, err)
		}
	}
}

func TestABundleOfAnIndexIsFound(t *testing.T) {
	d := newDepot(t)
	other, one := d.push(t, "other", "application/vnd.example+json", "{}"), d.push(t, "one", gzipped, "one")
	attestation := d.push(t, "attestation", gzipped, "not this")
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	inner := d.pushRaw(t, "inner", ocispec.MediaTypeImageIndex, index(t, attestation, other, other, one))
	d.pushRaw(t, "outer", ocispec.MediaTypeImageIndex, index(t, inner))
	if got, err := get(t, d.follow(t, ":outer"), ""); err != nil || got.body != "one" {
		t.Errorf("%+v, %v", got, err)
	}
	d.pushRaw(t, "none", ocispec.MediaTypeImageIndex, index(t, attestation, other))
	if _, err := get(t, d.follow(t, ":none"), ""); err == nil || !strings.Contains(err.Error(), `has layers of the types "application/vnd.example+json"; a layer of the type `+gzipped) {
		t.Error(err)
	}
}

func index(t *testing.T, of ...ocispec.Descriptor) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": of})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAManifestWithoutABundleIsReadOnce holds that what cannot be mended by asking again costs one HEAD request a look.
func TestAManifestWithoutABundleIsReadOnce(t *testing.T) {
	d := newDepot(t)
	d.push(t, "v1", "text/plain", "no bundle")
	r := d.follow(t, ":v1")
	for range 3 {
		if _, err := get(t, r, ""); err == nil || !strings.Contains(err.Error(), "no bundle: the manifest sha256:") {
			t.Error(err)
		}
	}
	if asked := d.requests(); len(asked) != 4 {
		t.Errorf("%q", asked)
	}
	d.push(t, "v1", "application/vnd.docker.image.rootfs.diff.tar.gzip", "by docker")
	if got, err := get(t, r, ""); err != nil || got.body != "by docker" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatIsNotAsItsDigestSaysIsNoBundle(t *testing.T) {
	for name, body := range map[string]string{"other bytes": "eno", "fewer": "on", "more": "one more"} {
		t.Run(name, func(t *testing.T) {
			d := newDepot(t)
			d.push(t, "v1", gzipped, "one")
			d.stand(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/blobs/") {
					return false
				}
				w.Header().Set("Transfer-Encoding", "chunked")
				fmt.Fprint(w, body)
				return true
			})
			if got, err := get(t, d.follow(t, ":v1"), ""); err == nil {
				t.Errorf("%+v", got)
			}
			// A manifest that is not what HEAD said is none either.
			d.stand(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				fmt.Fprintf(w, `{"layers": [{"mediaType": %q, "digest": %q, "size": 3}]}`, gzipped, digest.FromString("two"))
				return true
			})
			if got, err := get(t, d.follow(t, ":v1"), ""); err == nil {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestSizesAreBounded(t *testing.T) {
	d := newDepot(t)
	d.push(t, "v1", gzipped, strings.Repeat("x", 1<<10+1))
	if _, err := get(t, d.follow(t, ":v1"), ""); err == nil || !strings.Contains(err.Error(), "has 1025 bytes; at most 1024 are taken") {
		t.Error(err)
	}
	if slices.ContainsFunc(d.requests(), func(r string) bool { return strings.Contains(r, "/blobs/") }) {
		t.Error("it was asked for all the same")
	}
	deep := d.push(t, "deep", gzipped, "one")
	for range maxDepth + 1 {
		deep = d.pushRaw(t, "deep", ocispec.MediaTypeImageIndex, index(t, deep))
	}
	if _, err := get(t, d.follow(t, ":deep"), ""); err == nil || !strings.Contains(err.Error(), "nested more than 4 deep") {
		t.Error(err)
	}
	var many []ocispec.Descriptor
	for i := range maxManifests {
		many = append(many, d.pushRaw(t, fmt.Sprint("n", i), ocispec.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion": %d}`, i)))
	}
	d.pushRaw(t, "many", ocispec.MediaTypeImageIndex, index(t, many...))
	d.requests()
	if _, err := get(t, d.follow(t, ":many"), ""); err == nil || len(d.requests()) > maxManifests+1 {
		t.Error(err)
	}
}

func TestWhatARegistryRefusesIsItsStatus(t *testing.T) {
	d := newDepot(t)
	got, err := get(t, d.follow(t, ":none"), "")
	if err != nil || got.code != http.StatusNotFound {
		t.Errorf("%+v, %v", got, err)
	}
	d.stand(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "17")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}`)
		return true
	})
	if got, err = get(t, d.follow(t, ":v1"), ""); err != nil || got.code != http.StatusTooManyRequests || got.retryAfter != "17" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestARegistryThatAnswersNoHEAD is about what a HEAD request is answered without the headers that a digest is read from.
func TestARegistryThatAnswersNoHEAD(t *testing.T) {
	d := newDepot(t)
	d.push(t, "v1", gzipped, "one")
	d.stand(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
			return true
		}
		return false
	})
	if got, err := get(t, d.follow(t, ":v1"), ""); err != nil || got.body != "one" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAPasswordIsGivenToTheRegistryThatAsksForIt(t *testing.T) {
	d := newDepot(t)
	d.push(t, "v1", gzipped, "one")
	d.stand(func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != "sesame" {
			w.Header().Set("WWW-Authenticate", `Basic realm="depot"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	})
	if got, err := get(t, d.follow(t, ":v1"), ""); err == nil && got.code != http.StatusUnauthorized {
		t.Errorf("%+v", got)
	}
	password := "wrong"
	r := follow(t, Config{Reference: d.host() + "/team/authz:v1", PlainHTTP: true, MaxBytes: 1 << 10, Account: func(_ context.Context, host string) (auth.Credential, error) {
		if host != d.host() {
			t.Error("asked for", host)
		}
		return auth.Credential{Username: "ann", Password: password}, nil
	}})
	if got, err := get(t, r, ""); err != nil || got.code != http.StatusUnauthorized {
		t.Errorf("%+v, %v", got, err)
	}
	password = "sesame" // it is asked for again
	if got, err := get(t, r, ""); err != nil || got.body != "one" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestATokenIsFetchedWhereTheRegistrySays is how Docker Hub, GHCR and Harbor ask for a password.
func TestATokenIsFetchedWhereTheRegistrySays(t *testing.T) {
	d := newDepot(t)
	d.push(t, "v1", gzipped, "one")
	d.stand(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/token":
			if user, password, _ := r.BasicAuth(); user != "ann" || password != "sesame" || r.URL.Query().Get("scope") != "repository:team/authz:pull" {
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			fmt.Fprint(w, `{"token": "t0k3n"}`)
			return true
		case r.Header.Get("Authorization") != "Bearer t0k3n":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+d.URL+`/token",service="depot",scope="repository:team/authz:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	})
	r := follow(t, Config{Reference: d.host() + "/team/authz:v1", PlainHTTP: true, MaxBytes: 1 << 10, Account: auth.StaticCredential(d.host(), auth.Credential{Username: "ann", Password: "sesame"})})
	if got, err := get(t, r, ""); err != nil || got.body != "one" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestNothingLeadsToPlainHTTP is about a registry with TLS that redirects, or sends for a token, to a server without.
func TestNothingLeadsToPlainHTTP(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server without TLS was asked") }))
	defer plain.Close()
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, plain.URL+r.URL.Path, http.StatusFound)
		},
		"a token": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+plain.URL+`/token",service="depot"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
	} {
		t.Run(name, func(t *testing.T) {
			secure := httptest.NewTLSServer(http.HandlerFunc(answer))
			defer secure.Close()
			host := strings.TrimPrefix(secure.URL, "https://")
			r := follow(t, Config{Reference: host + "/team/authz:v1", CAs: pool(secure), MaxBytes: 1 << 10, Account: auth.StaticCredential(host, auth.Credential{Username: "ann", Password: "sesame"})})
			if got, err := get(t, r, ""); err == nil || !strings.Contains(err.Error(), "https:// was expected") && !strings.Contains(err.Error(), "uses http but registry was contacted over https") {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestACertificateOfNobodyIsRefused(t *testing.T) {
	d := newDepot(t)
	d.push(t, "v1", gzipped, "one")
	secure := httptest.NewUnstartedServer(d)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	host := strings.TrimPrefix(secure.URL, "https://")
	if _, err := get(t, follow(t, Config{Reference: host + "/team/authz:v1", MaxBytes: 1 << 10}), ""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
	if got, err := get(t, follow(t, Config{Reference: host + "/team/authz:v1", MaxBytes: 1 << 10, CAs: pool(secure)}), ""); err != nil || got.body != "one" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAReferenceNamesAVersion(t *testing.T) {
	for reference, want := range map[string]string{
		"registry.example.com/authz":             ":TAG or @DIGEST was expected",
		"registry.example.com":                   "invalid reference",
		"registry.example.com/Authz:v1":          "invalid repository",
		"registry.example.com/authz@sha256:1234": "invalid digest",
	} {
		if _, err := New(Config{Reference: reference}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", reference, err, want)
		}
	}
	r, err := New(Config{Reference: "registry.example.com/team/authz:v1"})
	if err != nil || r.Name() != "authz" || r.Host() != "registry.example.com" {
		t.Error(err, r)
	}
}
