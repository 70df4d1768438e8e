package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"defenseclaw/cmd/internal/opaconfig"
	"defenseclaw/engine"
	"defenseclaw/watcher/bundle"

	"github.com/open-policy-agent/opa/v1/keys"
	"github.com/open-policy-agent/opa/v1/plugins/rest"
	"go.uber.org/zap"
)

// newConfiguredOrigin follows the bundles of OPA's configuration.
func newConfiguredOrigin(s *Sidecar) (origin, error) {
	config := s.cfg.Settings.Source.OPA
	clients := &services{config: config}
	cfg := bundle.Config{Bundles: map[string]bundle.Get{}, Pace: map[string]bundle.Pace{}}
	unpack := map[string]*unpacker{}
	for name, b := range config.Bundles {
		get, err := clients.get(b)
		if err != nil {
			return nil, fmt.Errorf("bundle %s: %w", name, err)
		}
		shortest, longest := b.Polling.Delays()
		pace := bundle.Pace{Min: shortest, Max: max(longest, time.Millisecond), LongPoll: b.Polling.LongPoll()}
		if config.Registry(b.Service) {
			pace.LongPoll = -1 // no registry can wait for news
		}
		cfg.Bundles[name], cfg.Pace[name] = get, pace
		unpack[name] = s.newUnpacker(clients.address(b))
		unpack[name].store.dir = s.cfg.Settings.SourceDir(s.cfg.Settings.Source.URL)
		if config.PersistenceDir != "" {
			unpack[name].store.dir = config.PersistenceDir
		}
		unpack[name].unkept = !b.Kept()
		unpack[name].limits.FileBytes = b.SizeLimit
		if b.SizeLimit > 1<<30 {
			unpack[name].limits.Bytes = b.SizeLimit
		}
		if b.Signing == nil && plain(config.URL(b.Service)) {
			s.cfg.Logger.Warn("the bundle comes without TLS and need not be signed: anybody on the way can send another policy",
				zap.String("bundle", name), zap.String("service", b.Service))
		}
	}
	return s.followBundles(cfg, unpack)
}

// plain reports whether requests to a URL can be read and changed on the way.
func plain(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "http" && u.Hostname() != "localhost" && !strings.HasPrefix(u.Hostname(), "127.") && u.Hostname() != "::1"
}

// services are the clients of the services of OPA's configuration.
type services struct{ config *opaconfig.Config }

// client makes the client of a service.
func (s *services) client(name string) (rest.Client, error) {
	secrets := map[string]*keys.Config{}
	for id, k := range s.config.Keys {
		secrets[id] = &keys.Config{Key: k.Key, PrivateKey: k.PrivateKey, Algorithm: k.Algorithm, Scope: k.Scope}
		if k.Algorithm == "" {
			secrets[id].Algorithm = "RS256"
		}
	}
	return newClient(name, s.config.Services[name], secrets)
}

// get asks for a bundle.
func (s *services) get(b opaconfig.Bundle) (bundle.Get, error) {
	if b.Service == "" {
		return getFile(b.Resource)
	}
	client, err := s.client(b.Service)
	if err != nil {
		return nil, err
	}
	if s.config.Registry(b.Service) {
		return getFromRegistry(client, b.Resource)
	}
	if wait := int64(b.Polling.LongPoll() / time.Second); wait > 0 {
		headers := wait + int64(time.Minute/time.Second)
		client = client.SetResponseHeaderTimeout(&headers)
	}
	return getWith(client, b.Resource), nil
}

// address is where a bundle is, for people.
func (s *services) address(b opaconfig.Bundle) string {
	if b.Service == "" {
		return b.Resource
	}
	if s.config.Registry(b.Service) {
		return "oci://" + b.Resource
	}
	return s.config.URL(b.Service) + "/" + strings.Trim(b.Resource, "/")
}

// getFile reads a bundle of this machine as if a server sent it.
func getFile(resource string) (bundle.Get, error) {
	u, err := url.Parse(resource)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, header http.Header) (*http.Response, error) {
		info, err := os.Stat(u.Path)
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is not a regular file: a bundle was expected", u.Path)
		}
		if err != nil {
			return nil, err
		}
		etag, err := json.Marshal(fmt.Sprintf("%d-%d", info.ModTime().UnixNano(), info.Size()))
		if err != nil {
			return nil, err
		}
		if header.Get("If-None-Match") == string(etag) {
			return &http.Response{StatusCode: http.StatusNotModified, Body: http.NoBody, Header: http.Header{}}, nil
		}
		f, err := os.Open(u.Path)
		if err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: http.StatusOK, Body: f, Header: http.Header{"Etag": {string(etag)}}}, nil
	}, nil
}

// decisionPaths are the documents that decide AuthZEN's evaluations and, where OPA's configuration names it, the default.
func (s *Sidecar) decisionPaths() (authzen, byDefault engine.Path, err error) {
	if authzen, err = engine.ParsePath(s.cfg.Settings.AuthZENPolicy); err != nil {
		return nil, nil, err
	}
	if config := s.cfg.Settings.Source.OPA; config != nil && config.DefaultDecision != "" {
		byDefault, err = engine.ParsePath(strings.Trim(config.DefaultDecision, "/"))
	}
	return authzen, byDefault, err
}

// labels are what OPA's configuration calls this sidecar.
func (s *Sidecar) labels() map[string]string {
	if config := s.cfg.Settings.Source.OPA; config != nil {
		return config.Labels
	}
	return nil
}

// decisionService sends chunks of the decision log to the service of OPA's configuration, and names where to; nil without one.
func (s *Sidecar) decisionService() (address string, post func(context.Context, []byte) (*http.Response, error), err error) {
	config := s.cfg.Settings.Source.OPA
	if config == nil || config.DecisionLogs == nil || config.DecisionLogs.Service == "" {
		return "", nil, nil
	}
	if s.cfg.Settings.Decisions.URL != "" {
		return "", nil, errors.New("decision_logs.url is set, and OPA's configuration has decision_logs.service: one of them was expected")
	}
	logs := config.DecisionLogs
	client, err := (&services{config}).client(logs.Service)
	if err != nil {
		return "", nil, fmt.Errorf("decision_logs: %w", err)
	}
	return config.URL(logs.Service) + "/" + strings.Trim(logs.Resource, "/"), func(ctx context.Context, chunk []byte) (*http.Response, error) {
		return client.WithHeader("Content-Type", "application/json").WithHeader("Content-Encoding", "gzip").WithBytes(chunk).
			Do(ctx, http.MethodPost, logs.Resource)
	}, nil
}
