package oci

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// saying is a registry that has this manifest under every name.
type saying []byte

func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	body := []byte(s)
	if strings.Contains(r.URL.Path, "/blobs/") {
		body = []byte("blob")
	}
	answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{
		"Content-Type": {ocispec.MediaTypeImageManifest}, "Docker-Content-Digest": {digest.FromBytes(body).String()}, "Content-Length": {strconv.Itoa(len(body))},
	}, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Request: r}
	if r.Method == http.MethodHead {
		answer.Body = http.NoBody
	}
	return answer, nil
}

// FuzzManifest holds that a manifest of a stranger leads to its own bytes or to an error.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "` + digest.FromString("blob").String() + `", "size": 4}]}`))
	f.Add([]byte(`{"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "md5:1", "size": -4}]}`))
	f.Add([]byte(`{"manifests": [{"digest": "sha256:", "size": 4, "platform": {"os": "unknown"}}]}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		r := &Repository{maxBytes: 1 << 20, remote: &remote.Repository{
			Client:    &auth.Client{Client: &http.Client{Transport: saying(manifest)}},
			Reference: registry.Reference{Registry: "r.example.com", Repository: "a/b", Reference: "v1"},
		}}
		answer, err := r.Get(context.Background(), http.Header{})
		if err != nil {
			return
		}
		defer answer.Body.Close()
		if text, err := io.ReadAll(answer.Body); err == nil && answer.StatusCode == http.StatusOK && string(text) != "blob" {
			t.Errorf("%q", text)
		}
	})
}
