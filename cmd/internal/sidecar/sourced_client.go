package sidecar

import (
	"context"
	"fmt"
	"net/http"

	"defenseclaw/watcher/bundle"

	"github.com/open-policy-agent/opa/v1/keys"
	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins/rest"
)

// newClient makes a client of a service as OPA's configuration describes it. What is wrong with its credentials is found
// here, not at the first request.
func newClient(name string, config []byte, secrets map[string]*keys.Config) (rest.Client, error) {
	client, err := rest.New(config, secrets, rest.Name(name), rest.Logger(logging.NewNoOpLogger()))
	if err != nil {
		return client, fmt.Errorf("service %s: %w", name, err)
	}
	plugin, err := client.Config().AuthPlugin(nil)
	if err == nil {
		var trial *http.Client
		if trial, err = plugin.NewClient(*client.Config()); err == nil {
			trial.CloseIdleConnections()
		}
	}
	if err != nil {
		return client, fmt.Errorf("service %s: %w", name, err)
	}
	return client, nil
}

// getWith asks a service for a bundle as OPA does.
func getWith(client rest.Client, resource string) bundle.Get {
	return func(ctx context.Context, header http.Header) (*http.Response, error) {
		one := client // a client without headers makes a map of its own for them
		for name := range header {
			one = one.WithHeader(name, header.Get(name))
		}
		return one.Do(ctx, http.MethodGet, resource)
	}
}
