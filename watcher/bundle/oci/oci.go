package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Config says what is asked for. Zero fields mean what is said of each.
type Config struct {
	Reference string              // registry/repository:tag or registry/repository@digest. Required.
	PlainHTTP bool                // without TLS, which only a registry at loopback is asked
	CAs       *x509.CertPool      // that sign the certificates of the registry; nil: the system's
	Account   auth.CredentialFunc // whose the requests are, asked for by host; nil: nobody's
	MaxBytes  int64               // of a layer. Required.

	// Transport sends the requests; nil: one that trusts CAs does.
	Transport http.RoundTripper
	// Sign says whose a request is, in its header: each one to the registry itself that does not say so yet. Nil: see Account.
	Sign func(*http.Request) error
}

// Repository is one reference in a registry. Safe for concurrent use.
type Repository struct {
	remote   *remote.Repository
	maxBytes int64

	mu     sync.Mutex // guards newest
	newest found
}

// found is what a manifest led to.
type found struct {
	manifest, layer ocispec.Descriptor
	err             error // the manifest leads to no bundle
}

// New makes a Repository, and asks for nothing.
func New(cfg Config) (*Repository, error) {
	reference, err := registry.ParseReference(cfg.Reference)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", cfg.Reference, err)
	}
	if reference.Reference == "" {
		return nil, fmt.Errorf("%q names no version: :TAG or @DIGEST was expected at its end", cfg.Reference)
	}
	if cfg.Transport == nil {
		transport := defaultTransport()
		transport.TLSClientConfig = &tls.Config{RootCAs: cfg.CAs, MinVersion: tls.VersionTLS12}
		cfg.Transport = transport
	}
	return &Repository{
		remote: &remote.Repository{
			Client: &auth.Client{
				Client: &http.Client{Transport: &guard{next: cfg.Transport, plainHTTP: cfg.PlainHTTP, host: reference.Host(), sign: cfg.Sign}},
				Header: http.Header{"User-Agent": {"defenseclaw"}}, Cache: auth.NewCache(), Credential: cfg.Account,
			},
			Reference: reference, PlainHTTP: cfg.PlainHTTP,
		},
		maxBytes: cfg.MaxBytes,
	}, nil
}

func defaultTransport() *http.Transport {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		return t.Clone()
	}
	return &http.Transport{Proxy: http.ProxyFromEnvironment}
}

// Name is the last part of the repository's name.
func (r *Repository) Name() string { return path.Base(r.remote.Reference.Repository) }

// Host is what [Config.Account] is asked about.
func (r *Repository) Host() string { return r.remote.Reference.Host() }

// Get is a bundle.Get: it answers as an HTTP server does that serves the layer with its digest as the ETag. What a registry
// refuses, it answers with the registry's status.
func (r *Repository) Get(ctx context.Context, header http.Header) (*http.Response, error) {
	var told note
	ctx = context.WithValue(ctx, noteKey{}, &told)
	layer, err := r.layer(ctx)
	if err != nil {
		return refusal(err, &told)
	}
	answer := &http.Response{StatusCode: http.StatusNotModified, Header: http.Header{"Etag": {layer.Digest.String()}}, Body: http.NoBody}
	if header.Get("If-None-Match") == layer.Digest.String() {
		return answer, nil
	}
	if layer.Size > r.maxBytes {
		return nil, fmt.Errorf("the layer %s has %d bytes; at most %d are taken", layer.Digest, layer.Size, r.maxBytes)
	}
	body, err := r.remote.Blobs().Fetch(ctx, layer)
	if err != nil {
		return refusal(err, &told)
	}
	answer.StatusCode = http.StatusOK
	answer.Body = &verified{VerifyReader: content.NewVerifyReader(body, layer), body: body}
	return answer, nil
}

// refusal makes an answer of what a registry answered with a status of its own, so that its wish for a pause is kept to.
func refusal(err error, told *note) (*http.Response, error) {
	refused, ok := errors.AsType[*errcode.ErrorResponse](err)
	switch {
	case ok:
	case errors.Is(err, errdef.ErrNotFound):
		refused = &errcode.ErrorResponse{StatusCode: http.StatusNotFound}
	default:
		return nil, err
	}
	status := fmt.Sprintf("%d %s", refused.StatusCode, http.StatusText(refused.StatusCode))
	if len(refused.Errors) > 0 {
		status += ": " + refused.Errors.Error()
	}
	return &http.Response{StatusCode: refused.StatusCode, Status: status, Header: told.header(), Body: http.NoBody}, nil
}

// verified is a layer that is read to its end without an error only if it is what its descriptor says.
type verified struct {
	*content.VerifyReader
	body io.Closer
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.VerifyReader.Read(p)
	if errors.Is(err, io.EOF) {
		if wrong := v.Verify(); wrong != nil {
			return n, fmt.Errorf("the registry sent other bytes than the manifest names: %w", wrong)
		}
	}
	return n, err
}

func (v *verified) Close() error { return v.body.Close() }
