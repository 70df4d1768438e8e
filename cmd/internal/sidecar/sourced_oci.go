package sidecar

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/watcher/bundle"
	"defenseclaw/watcher/bundle/oci"

	"github.com/open-policy-agent/opa/v1/plugins/rest"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// newOCIOrigin follows a bundle in a registry, which is asked as often as an HTTP server is that cannot wait for news.
func newOCIOrigin(s *Sidecar) (origin, error) {
	set := s.cfg.Settings.Source
	repository, err := ociRepository(set)
	if err != nil {
		return nil, err
	}
	name := repository.Name()
	return s.followBundles(bundle.Config{Bundles: map[string]bundle.Get{name: repository.Get}, Poll: set.Poll, LongPoll: -1},
		map[string]*unpacker{name: s.newUnpacker(set.URL)})
}

// ociRepository asks a registry at loopback over plain HTTP, unless it is said whose certificate it has.
func ociRepository(set settings.Source) (*oci.Repository, error) {
	u, err := url.Parse(set.URL)
	if err != nil {
		return nil, err
	}
	cfg := oci.Config{
		Reference: u.Host + u.Path, PlainHTTP: set.CA == "" && settings.Loopback(u.Hostname()),
		Account: registryAccount(u.Host, set.Creds), MaxBytes: bundle.DefaultMaxBytes,
	}
	if set.CA != "" {
		text, err := os.ReadFile(set.CA)
		if err != nil {
			return nil, err
		}
		cfg.CAs = x509.NewCertPool()
		if !cfg.CAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", set.CA)
		}
	}
	return oci.New(cfg)
}

// getFromRegistry asks for a bundle as OPA does of a service of the type oci: the service says which registry is asked, and who asks; the reference has
// the repository and the version.
func getFromRegistry(client rest.Client, reference string) (bundle.Get, error) {
	parsed, err := registry.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("resource: %w: a reference like HOST/REPOSITORY:TAG was expected", err)
	}
	config := client.Config()
	u, err := url.Parse(config.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && !settings.Loopback(u.Hostname()) {
		return nil, fmt.Errorf("service %s: its URL is %s: https:// was expected", client.Service(), config.URL)
	}
	plugin, err := config.AuthPlugin(nil)
	if err != nil {
		return nil, err
	}
	sender, err := plugin.NewClient(*config)
	if err != nil {
		return nil, err
	}
	parsed.Registry = u.Host
	repository, err := oci.New(oci.Config{
		Reference: parsed.String(), PlainHTTP: u.Scheme == "http", MaxBytes: bundle.DefaultMaxBytes, Transport: sender.Transport, Sign: plugin.Prepare,
	})
	if err != nil {
		return nil, err
	}
	return repository.Get, nil
}

// registryAccount reads what a registry is told anew for each time that it asks, so that a file may be replaced. Without a
// file, the configuration of docker login says it, and the helpers that this names.
func registryAccount(host, file string) auth.CredentialFunc {
	if host == "docker.io" {
		host = "registry-1.docker.io" // which is what is asked
	}
	return func(ctx context.Context, asking string) (auth.Credential, error) {
		if file == "" {
			store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
			if err != nil {
				return auth.EmptyCredential, fmt.Errorf("read the configuration of docker login: %w", err)
			}
			return credentials.Credential(store)(ctx, asking)
		}
		text, err := os.ReadFile(file) //nolint:gosec // the operator's own
		if err != nil {
			return auth.EmptyCredential, err
		}
		if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("{")) {
			store, err := credentials.NewMemoryStoreFromDockerConfig(text)
			if err != nil {
				return auth.EmptyCredential, fmt.Errorf("%s: %w", file, err)
			}
			return credentials.Credential(store)(ctx, asking)
		}
		if asking != host {
			return auth.EmptyCredential, nil
		}
		account, err := accountIn(string(text))
		if err != nil {
			return account, fmt.Errorf("%s: %w", file, err)
		}
		return account, nil
	}
}

// accountIn reads NAME:PASSWORD or a token.
func accountIn(text string) (auth.Credential, error) {
	name, password, ok := strings.Cut(text, ":")
	switch {
	case text == "" || strings.ContainsAny(text, "\n\r"):
		return auth.EmptyCredential, errors.New("one line was expected: NAME:PASSWORD or a token; or a configuration of docker login")
	case ok:
		return auth.Credential{Username: name, Password: password}, nil
	default:
		return auth.Credential{AccessToken: text}, nil
	}
}
